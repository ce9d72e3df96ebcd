// What queue and case do to alerts.
import * as api from "/static/api.js";
import { h } from "/static/dom.js";
import { words } from "/static/format.js";

/** Each change in words. */
export const DOES = { assign: "Assign to me", release: "Release", note: "Add note", escalate: "Escalate", confirm_fraud: "Confirm fraud", false_positive: "False positive" };

const DONE = { assign: "is yours", release: "is free", note: "noted", escalate: "escalated", confirm_fraud: "confirmed as fraud", false_positive: "closed as a false positive" };

/** Changes an alert as it was seen; gives it back as it is now, or null after saying why not. */
export async function act(alert, change, announce, text = null) {
  try {
    const after = await api.post("/alerts/change", { key: alert.key, version: alert.version, change, note: text });
    announce(`${alert.transaction_id} ${DONE[change]}.${after.label_pending ? " Its label follows as soon as the stream can be reached." : ""}`, after.label_pending ? "" : "good");
    return after;
  } catch (error) {
    announce(`${alert.transaction_id}: ${error.message}`, "bad");
    return null;
  }
}

/** Asks for a note before something larger; null where the user thought better of it. */
export function note(title, confirm) {
  return new Promise((resolve) => {
    const text = h("textarea", { maxlength: 1000, name: "note" });
    const dialog = h("dialog", { class: "panel", "aria-label": title, onclose: () => { resolve(dialog.returnValue === "yes" ? text.value.trim() : null); dialog.remove(); } },
      h("form", { method: "dialog", class: "stack" }, h("h2", {}, title), h("label", {}, "Note (optional)", text),
        h("div", { class: "row" }, h("button", { class: "primary", value: "yes" }, confirm), h("button", { value: "no", formnovalidate: true }, "Cancel"))));
    document.body.append(dialog);
    dialog.showModal();
    text.focus();
  });
}

/** One entry of an alert's history in words. */
export const changeText = (entry) => words(entry.change);
