"use strict";
const at = (id) => document.getElementById(id);
const CHANGES = { f: "confirm_fraud", p: "false_positive", e: "escalate", m: "assign" };
let csrf = "", alerts = [], chosen = 0;

async function call(method, path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw Object.assign(new Error("the console is out of reach; trying again"), { status: 0 });
  }
  if (answer.status === 204) return null;
  const content = await answer.json();
  const words = typeof content.detail === "string" ? content.detail : "the request was refused";
  if (!answer.ok) throw Object.assign(new Error(words), { status: answer.status });
  return content;
}

function money(minor, currency) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function draw() {
  at("rows").replaceChildren(...alerts.map((alert, place) => {
    const row = document.createElement("tr");
    row.className = place === chosen ? "chosen" : "";
    const when = new Date(alert.decided_ms);
    const cells = [when.toLocaleString(), alert.severity, alert.outcome, money(alert.amount_minor, alert.currency),
      alert.card_token, alert.merchant_id, alert.reasons.join("; "), alert.assignee ?? ""];
    cells.forEach((text, column) => {
      const cell = row.insertCell();
      cell.textContent = text;
      if (column === 0) cell.title = when.toISOString();
      if (column === 1 || column === 3) cell.className = "number";
    });
    row.addEventListener("click", () => { chosen = place; draw(); });
    return row;
  }));
}

// An alert that leaves the list by another's hand leaves nothing chosen, so that no key can hit its neighbour.
async function refresh(moveOn = false) {
  try {
    const kept = alerts[chosen]?.alert_id;
    alerts = await call("GET", `/api/alerts?status=${at("status").value}`);
    const found = alerts.findIndex((alert) => alert.alert_id === kept);
    if (found >= 0) chosen = found;
    else chosen = moveOn || kept === undefined ? Math.max(0, Math.min(chosen, alerts.length - 1)) : -1;
    at("notice").textContent = alerts.length ? "" : "No alerts with this status.";
    draw();
  } catch (error) {
    if (error.status === 401) return show(null);
    at("notice").textContent = error.message;
  }
}

function show(session) {
  csrf = session?.csrf ?? "";
  at("enter").hidden = session !== null;
  at("work").hidden = at("leave").hidden = session === null;
  at("who").textContent = session ? `${session.name} (${session.role})` : "";
  if (session) refresh();
}

at("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("notice").textContent = "";
  try {
    show(await call("POST", "/api/session", { name: at("name").value, password: at("password").value }));
    at("password").value = "";
  } catch (error) { at("notice").textContent = error.message; }
});
at("leave").addEventListener("click", () => call("DELETE", "/api/session").finally(() => show(null)));
at("status").addEventListener("change", () => refresh(true));
document.addEventListener("keydown", async (event) => {
  if (at("work").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input, select, button")) return;
  const alert = alerts[chosen];
  if (event.key === "j") chosen = Math.max(0, Math.min(chosen + 1, alerts.length - 1));
  if (event.key === "k") chosen = Math.max(chosen - 1, 0);
  draw();
  if (!(event.key in CHANGES) || !alert) return;
  try {
    await call("POST", `/api/alerts/${encodeURIComponent(alert.alert_id)}/changes`,
      { version: alert.version, change: CHANGES[event.key] });
    await refresh(true);
  } catch (error) { await refresh(); at("notice").textContent = error.message; }
});
setInterval(() => at("work").hidden || refresh(), 5000);
call("GET", "/api/session").then(show, () => show(null));
