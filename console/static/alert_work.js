// What queue and case do to alerts.
import { announce } from "/static/announce.js";
import * as api from "/static/api.js";
import { h } from "/static/dom.js";
import { number, words } from "/static/format.js";

/** Each change in words. */
export const DOES = { assign: "Assign to me", release: "Release", note: "Add note", escalate: "Escalate", confirm_fraud: "Confirm fraud", false_positive: "False positive", undo: "Undo", reopen: "Reopen" };

const DONE = { assign: "is yours", release: "is free", note: "noted", escalate: "escalated", confirm_fraud: "confirmed as fraud", false_positive: "closed as a false positive", undo: "waits again", reopen: "reopened" };

export const CLOSED = ["confirmed_fraud", "false_positive"];

const changing = new Set(); // keys of alerts whose change is on its way: a second tap on one does nothing

/** Milliseconds in which the verdict that closed an alert can be undone; 0 where it cannot. */
const undoable = ({ label_pending: due }) => due && !due.taken && due.due_ms > due.at_ms ? due.due_ms - due.at_ms : 0;

/**
 * Changes an alert as it was seen; gives it back as it is now, or null after saying why not. A verdict can be undone for
 * some seconds, which calls `undone` with the alert as it is then.
 */
export async function act(alert, change, { text = null, undone = () => {} } = {}) {
  if (changing.has(alert.key)) return null;
  changing.add(alert.key);
  try {
    const after = await api.post("/alerts/change", { key: alert.key, version: alert.version, change, note: text });
    const milliseconds = CLOSED.includes(after.status) && CLOSED.every((one) => one !== alert.status) ? undoable(after) : 0;
    const undo = async () => { const back = await act(after, "undo"); if (back) undone(back); };
    announce(`${alert.transaction_id} ${DONE[change]}.${after.label_pending && !milliseconds && change !== "note" ? " Its label follows." : ""}`, change === "undo" || after.label_pending && !milliseconds ? "" : "good",
      milliseconds ? { name: "Undo", does: undo, milliseconds } : null);
    return after;
  } catch (error) {
    announce(`${alert.transaction_id}: ${error.message}`, "bad");
    return null;
  } finally {
    changing.delete(alert.key);
  }
}

/**
 * Changes several alerts as they were seen, each by itself, after asking for a note. Gives the keys of those that were changed;
 * null where the user thought better of it. A verdict on them can be undone for some seconds, which calls `undone`.
 */
export async function actOnMany(alerts, change, { undone = () => {} } = {}) {
  const said = await note(`${DOES[change]}: ${number(alerts.length)} alert${alerts.length > 1 ? "s" : ""}`, DOES[change]);
  return said === null ? null : changeMany(alerts, change, said || null, undone);
}

const AT_ONCE = 100;

/** The same without asking; gives the keys of those that were changed. */
export async function changeMany(alerts, change, text, undone) {
  alerts = alerts.filter(({ key }) => !changing.has(key));
  const named = new Map(alerts.map((alert) => [alert.key, alert]));
  for (const { key } of alerts) changing.add(key);
  const done = [];
  let milliseconds = 0;
  try {
    for (let start = 0; start < alerts.length; start += AT_ONCE) {
      const some = alerts.slice(start, start + AT_ONCE).map(({ key, version }) => ({ key, version }));
      const { results, undo_ms } = await api.post("/alerts/changes", { alerts: some, change, note: text });
      milliseconds = undo_ms;
      for (const { key, refused } of results) {
        if (refused) announce(`${named.get(key).transaction_id}: ${refused}`, "bad");
        else done.push(key);
      }
    }
    const closed = ["confirm_fraud", "false_positive"].includes(change) && done.length > 0;
    const after = done.map((key) => ({ ...named.get(key), version: named.get(key).version + 1 }));
    const undo = async () => { await changeMany(after, "undo", null, undone); undone(); };
    announce(`${DOES[change]}: ${number(done.length)} of ${number(alerts.length)} alerts.`, done.length ? "good" : "bad",
      closed && milliseconds ? { name: "Undo", does: undo, milliseconds } : null);
  } catch (error) {
    announce(error.message, "bad");
  } finally {
    for (const { key } of alerts) changing.delete(key);
  }
  return done;
}

/**
 * Asks for a note before something larger, or for a reason that must be given; null where the user thought better of it.
 * What else is to be known or chosen stands above it.
 */
export function note(title, confirm, label = "Note (optional)", required = false, ...more) {
  return new Promise((resolve) => {
    const text = h("textarea", { maxlength: 1000, name: "note", required });
    const dialog = h("dialog", { class: "panel", "aria-label": title, onclose: () => { resolve(dialog.returnValue === "yes" ? text.value.trim() : null); dialog.remove(); } },
      h("form", { method: "dialog", class: "stack", onsubmit: (event) => { if (required && event.submitter?.value === "yes" && !text.value.trim()) { event.preventDefault(); text.focus(); } } },
        h("h2", {}, title), more, h("label", {}, label, text),
        h("div", { class: "row" }, h("button", { class: "primary", value: "yes" }, confirm), h("button", { value: "no", formnovalidate: true }, "Cancel"))));
    document.body.append(dialog);
    dialog.showModal();
    text.focus();
  });
}

/** One entry of an alert's history in words. */
export const changeText = (entry) => ({ undo: "took the verdict back", reopen: "reopened" })[entry.change] ?? words(entry.change);
