// The alerts to work on.
import * as api from "/static/api.js";
import { empty, h, redraw } from "/static/dom.js";
import { age, money, number, outcome, words } from "/static/format.js";

const CHANGES = { f: "confirm_fraud", p: "false_positive", e: "escalate", m: "assign" };
const STATUSES = ["open", "escalated", "confirmed_fraud", "false_positive"];
const KEYS = [["j", "next"], ["k", "previous"], ["f", "confirm fraud"], ["p", "false positive"], ["e", "escalate"], ["m", "assign to me"]];

export function mount(root, { announce, signal }) {
  let alerts = [], chosen = null;
  const status = h("select", { onchange: () => ask() }, STATUSES.map((name) => h("option", { value: name }, words(name))));
  const rows = h("tbody");
  const none = empty("Loading…");
  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, "Queue"), h("label", {}, "Status", status),
      h("span", { class: "soft end" }, KEYS.map(([key, does]) => [h("kbd", {}, key), ` ${does}  `]))),
    h("section", { class: "panel scroll" }, h("table", {}, h("thead", {}, h("tr", {},
      ["Age", "Severity", "Outcome", "Amount", "Card", "Merchant", "Reasons", "Assignee"].map((name) => h("th", { scope: "col" }, name)))), rows), none));

  function draw() {
    none.hidden = alerts.length > 0;
    none.textContent = "No alerts with this status.";
    redraw(rows, alerts.map((alert) => h("tr", { class: alert.alert_id === chosen ? "chosen" : "", onclick: () => { chosen = alert.alert_id; draw(); } },
      h("td", {}, age(alert.decided_ms)), h("td", { class: "number" }, number(alert.severity)), h("td", {}, outcome(alert.outcome)),
      h("td", { class: "number" }, money(alert.amount_minor, alert.currency)), h("td", { class: "code" }, alert.card_token),
      h("td", { class: "code" }, alert.merchant_id), h("td", {}, alert.reasons.join("; ")), h("td", {}, alert.assignee ?? ""))));
  }

  // An alert that leaves the list by another's hand leaves nothing chosen, so that no key can hit its neighbour.
  function show(data) {
    alerts = data;
    if (!alerts.some((alert) => alert.alert_id === chosen)) chosen = null;
    draw();
  }
  const ask = api.poll("/alerts", () => ({ status: status.value }), show, { signal });

  function move(by) {
    const place = alerts.findIndex((alert) => alert.alert_id === chosen);
    chosen = alerts[place < 0 ? 0 : Math.max(0, Math.min(place + by, alerts.length - 1))]?.alert_id ?? null;
    draw();
  }
  document.addEventListener("keydown", async (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.matches("input, select, textarea")) return;
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
    const place = alerts.findIndex((alert) => alert.alert_id === chosen);
    if (!(event.key in CHANGES) || place < 0) return;
    const next = alerts[place + 1]?.alert_id ?? null;
    try {
      await api.post(`/alerts/${encodeURIComponent(chosen)}/changes`, { version: alerts[place].version, change: CHANGES[event.key] });
      if (event.key !== "m") chosen = next;
    } catch (error) { announce(error.message, "bad"); }
    ask();
  }, { signal });
}
