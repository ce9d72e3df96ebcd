// What queue and case do to alerts.
import { announce } from "/static/announce.js";
import * as api from "/static/api.js";
import { h } from "/static/dom.js";
import { duration, number, words } from "/static/format.js";

/** Each change in words. @type {Record<Change, string>} */
export const DOES = { assign: "Assign to me", release: "Release", note: "Add note", escalate: "Escalate", snooze: "Snooze", tag: "Tags", split: "Take out of this case", confirm_fraud: "Confirm fraud", false_positive: "False positive", undo: "Undo", reopen: "Reopen" };

/** @type {Record<Change, string>} */
const DONE = { assign: "is assigned", release: "is free", note: "noted", escalate: "escalated", snooze: "is put off", tag: "has its tags", split: "is a case of its own", confirm_fraud: "confirmed as fraud", false_positive: "closed as a false positive", undo: "waits again", reopen: "reopened" };

/** Kinds of fraud, as the schemes' reports know them. */
export const FRAUD_TYPES = ["lost", "stolen", "never_received", "fraudulent_application", "counterfeit", "account_takeover", "card_not_present", "account_holder_manipulated", "other"];

/** How long an alert can be put off: minutes, and in words. @type {[value: string, text: string][]} */
export const SNOOZES = [["60", "an hour"], ["240", "4 hours"], ["1440", "a day"], ["4320", "3 days"], ["10080", "a week"]];

/** @type {readonly string[]} */
export const CLOSED = ["confirmed_fraud", "false_positive"];

/** @type {Set<string>} */
const changing = new Set(); // keys of alerts whose change is on its way: a second tap on one does nothing

/** Milliseconds in which the verdict that closed an alert can be undone; 0 where it cannot. @param {Alert} alert */
const undoable = ({ label_pending: due }) => due && !due.taken && due.due_ms > due.at_ms ? due.due_ms - due.at_ms : 0;

/**
 * Changes an alert as it was seen; gives it back as it is now, or null after saying why not. A verdict can be undone for
 * some seconds, which calls `undone` with the alert as it is then.
 *
 * @type {(alert: Alert, change: Change, options?: { text?: string | null, undone?: (alert: Alert) => void } & ChangeDetails) => Promise<Alert | null>}
 */
export const act = async (alert, change, { text = null, undone = () => {}, ...details } = {}) => {
  if (changing.has(alert.key)) return null;
  changing.add(alert.key);
  try {
    const after = await api.post("/alerts/change", { key: alert.key, version: alert.version, change, note: text, ...details });
    const milliseconds = CLOSED.includes(after.status) && CLOSED.every((one) => one !== alert.status) ? undoable(after) : 0;
    const undo = async () => { const back = await act(after, "undo"); if (back) undone(back); };
    announce(`${alert.transaction_id} ${DONE[change]}.${after.label_pending && !milliseconds && change !== "note" ? " Its label follows." : ""}`, change === "undo" || after.label_pending && !milliseconds ? "" : "good",
      milliseconds ? { name: "Undo", does: undo, milliseconds } : null);
    return after;
  } catch (error) {
    announce(`${alert.transaction_id}: ${api.messageOf(error)}`, "bad");
    return null;
  } finally {
    changing.delete(alert.key);
  }
};

/**
 * Changes several alerts as they were seen, each by itself, after asking for a note. Gives the keys of those that were changed;
 * null where the user thought better of it. A verdict on them can be undone for some seconds, which calls `undone`.
 *
 * @param {Alert[]} alerts @param {Change} change @param {{ undone?: () => void } & ChangeDetails} [options]
 */
export async function actOnMany(alerts, change, { undone = () => {}, ...details } = {}) {
  const said = await note(`${DOES[change]}: ${number(alerts.length)} alert${alerts.length > 1 ? "s" : ""}`, DOES[change]);
  return said === null ? null : changeMany(alerts, change, said || null, undone, details);
}

const AT_ONCE = 100;

/**
 * The same without asking; gives the keys of those that were changed.
 *
 * @param {Alert[]} alerts @param {Change} change @param {string | null} text @param {() => void} undone @param {ChangeDetails} [details]
 */
export async function changeMany(alerts, change, text, undone, details = {}) {
  alerts = alerts.filter(({ key }) => !changing.has(key));
  const named = new Map(alerts.map((alert) => [alert.key, alert]));
  for (const { key } of alerts) changing.add(key);
  /** @type {string[]} */
  const done = [];
  let milliseconds = 0;
  try {
    for (let start = 0; start < alerts.length; start += AT_ONCE) {
      const some = alerts.slice(start, start + AT_ONCE).map(({ key, version }) => ({ key, version }));
      const { results, undo_ms } = await api.post("/alerts/changes", { alerts: some, change, note: text, ...details });
      milliseconds = undo_ms;
      for (const { key, refused } of results) {
        if (refused) announce(`${named.get(key)?.transaction_id}: ${refused}`, "bad");
        else done.push(key);
      }
    }
    const closed = ["confirm_fraud", "false_positive"].includes(change) && done.length > 0;
    const after = alerts.filter(({ key }) => done.includes(key)).map((alert) => ({ ...alert, version: alert.version + 1 }));
    const undo = async () => { await changeMany(after, "undo", null, undone); undone(); };
    announce(`${DOES[change]}: ${number(done.length)} of ${number(alerts.length)} alerts.`, done.length ? "good" : "bad",
      closed && milliseconds ? { name: "Undo", does: undo, milliseconds } : null);
  } catch (error) {
    announce(api.messageOf(error), "bad");
  } finally {
    for (const { key } of alerts) changing.delete(key);
  }
  return done;
}

/**
 * Asks for a note before something larger, or for a reason that must be given; null where the user thought better of it.
 * What else is to be known or chosen stands above it.
 *
 * @param {string} title @param {string} confirm @param {string} [label] @param {boolean} [required] @param {Child[]} more
 * @returns {Promise<string | null>}
 */
export function note(title, confirm, label = "Note (optional)", required = false, ...more) {
  return new Promise((resolve) => {
    const text = h("textarea", { maxlength: 1000, name: "note", required });
    const dialog = h("dialog", { class: "panel", "aria-label": title, onclose: () => { resolve(dialog.returnValue === "yes" ? text.value.trim() : null); dialog.remove(); } },
      h("form", { method: "dialog", class: "stack", onsubmit: (event) => { if (required && event.submitter instanceof HTMLButtonElement && event.submitter.value === "yes" && !text.value.trim()) { event.preventDefault(); text.focus(); } } },
        h("h2", {}, title), more, h("label", {}, label, text),
        h("div", { class: "row" }, h("button", { class: "primary", value: "yes" }, confirm), h("button", { value: "no", formnovalidate: true }, "Cancel"))));
    document.body.append(dialog);
    dialog.showModal();
    text.focus();
  });
}

/** @type {(entry: HistoryEntry) => Partial<Record<string, string>>} */
const changeTexts = (entry) => ({
  undo: "took the verdict back", reopen: "reopened", assign: entry.to ? `assigned it to ${entry.to}` : "took it", release: "released it", note: "noted",
  snooze: entry.minutes ? `put it off for ${duration(entry.minutes * 60_000)}` : "ended the snooze", tag: entry.tags?.length ? `tagged it ${entry.tags.join(", ")}` : "took its tags off",
  join: "took it into another case", split: "took it out of the case",
  confirm_fraud: `confirmed fraud${entry.fraud_type ? ` (${words(entry.fraud_type)})` : ""}`,
});

/** One entry of an alert's history in words. @param {HistoryEntry} entry */
export const changeText = (entry) => changeTexts(entry)[entry.change] ?? words(entry.change);

/**
 * Takes the next case: of one's own the one worth most, else of nobody's. Of those that somebody else takes at the same
 * time another follows. Gives the key of its first alert; null where nothing waits.
 *
 * @param {Session} session @param {string | null} [skip]
 */
export async function takeNext(session, skip = null) {
  for (const assignee of [session.name, ""]) {
    const found = /** @type {Cases} */ (await api.get(`${api.address("/alerts/cases", { order: "riskiest", limit: 10 })}&assignee=${encodeURIComponent(assignee)}`));
    for (const of of found.cases.filter((one) => one.waiting.every(({ key }) => key !== skip))) {
      if (assignee) return of.lead.key;
      const alerts = of.waiting.filter((alert) => !alert.assignee).map(({ key, version }) => ({ key, version }));
      if (alerts.length === 0) continue;
      const { results } = await api.post("/alerts/changes", { alerts, change: "assign" });
      if (results.some(({ refused }) => refused === null)) return of.lead.key;
    }
  }
  return null;
}

/** Goes to the next case for somebody, or says that there is none. @param {Session} session @param {Go} go @param {string | null} [skip] */
export async function openNext(session, go, skip = null) {
  try {
    const key = await takeNext(session, skip);
    if (key) go(`/case/${key}`); else announce("Nothing else waits for you.", "good");
  } catch (error) {
    announce(api.messageOf(error), "bad");
  }
}

/** Whether somebody is choosing from a list in an element, which must not be drawn again meanwhile. @param {Element} element */
export const choosing = (element) => element.contains(document.activeElement) && document.activeElement instanceof HTMLSelectElement;

/**
 * A choice that does something at once and shows its name again.
 *
 * @param {string} name @param {[value: string, text: string][]} options @param {(value: string) => unknown} does @param {string} key
 */
export const doing = (name, options, does, key) => h("select", { "aria-label": name, "data-key": key, onchange: ({ target }) => {
  const { value } = target, around = target.closest("[tabindex]");
  target.value = "";
  target.blur();
  if (around instanceof HTMLElement) around.focus({ preventScroll: true });
  if (value) does(value);
} },
  h("option", { value: "" }, name), options.map(([value, text]) => h("option", { value }, text)));
