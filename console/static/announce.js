// Short messages in the corner of the page.
import { h } from "/static/dom.js";

const NOTICE_MS = 6_000;

/**
 * Says something once, in passing: tone is good, bad or "". An action { name, does, milliseconds } can be taken while the
 * message stands.
 *
 * @type {Announce}
 */
export const announce = (text, tone = "", action = null) => {
  const notice = h("p", { class: `notice ${tone}` }, text, action && h("button", { onclick: () => { notice.remove(); action.does(); } }, action.name));
  document.getElementById("notices")?.append(notice);
  setTimeout(() => notice.remove(), action?.milliseconds ?? NOTICE_MS);
};

/** Takes the action of the newest message that has one; whether there is any. */
export function takeAction() {
  const button = /** @type {HTMLElement | undefined} */ ([...document.querySelectorAll("#notices button")].at(-1));
  button?.click();
  return button !== undefined;
}
