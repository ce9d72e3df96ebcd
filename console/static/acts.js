// Blocking, watching and allowing what a payment has, with the effect that it would have had.
import { note } from "/static/alert_work.js";
import { announce } from "/static/announce.js";
import * as api from "/static/api.js";
import { empty, h, redraw } from "/static/dom.js";
import { money, number, timeText } from "/static/format.js";

/** @type {Record<Kind, string>} */
export const KINDS = { card: "Card", customer: "Customer", merchant: "Merchant", device: "Device", ip: "Address" };
/** @type {Record<Act, string>} */
const DOES = { block: "Block", watch: "Watch", allow: "Allow" };
const TONES = { block: "bad", watch: "warn", allow: "good", named: "" };
/** @type {Act[]} */
const ACTS = ["block", "watch", "allow"];
const DAYS = [["1", "1 day"], ["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "a year"], ["", "for ever"]];
const ANALYST_DAYS = 90;
/** @type {Record<Act, (count: string) => string>} */
const WOULD = { block: (count) => `${count} would have been declined`, watch: (count) => `${count} would have come to review`, allow: (count) => `${count} would have raised no alert, unless a rule insists` };

/** What an act would have changed, in words. @param {Target} target @param {Act} does @param {string} currency */
export function effectText({ payments, more, since_ms: since, effects }, does, currency) {
  const { payments: changed, billing_minor: minor } = effects[does];
  const of = `${number(payments)}${more ? " newest" : ""} ${payments === 1 ? "payment" : "payments"} ${since === null ? "known" : "since"}`;
  return `${of}: ${WOULD[does](changed ? number(changed) : "none")}${changed ? ` (${money(minor, currency)})` : ""}.`;
}

/** Asks for expiry and reason; null where the user thought better of it. @param {Target} target @param {Act} does @param {Session} session */
async function ask(target, does, session) {
  const lead = ["lead", "admin"].includes(session.role);
  const days = h("select", { name: "days" }, DAYS.filter(([value]) => lead || (value && Number(value) <= ANALYST_DAYS)).map(([value, text]) => h("option", { value, selected: value === "30" }, text)));
  const why = await note(`${DOES[does]} ${KINDS[target.of].toLowerCase()} ${target.name}`, DOES[does], "Reason", true,
    h("p", { class: "effect" }, effectText(target, does, session.base_currency)), h("label", {}, "How long", days));
  return why === null ? null : { days: days.value ? Number(days.value) : null, why };
}

/**
 * Fills a holder with all that can be done about the payment, or the card or other thing, that has a key.
 *
 * @param {HTMLElement} holder @param {{ key: string, session: Session, signal: AbortSignal }} tools @returns {Promise<void>}
 */
export async function drawActs(holder, { key, session, signal }) {
  /** @type {Target[]} */
  let targets = [];
  const replace = (/** @type {Target} */ after) => { targets = targets.map((one) => (one.of === after.of ? after : one)); draw(); };

  /** @param {() => Promise<Target>} send @param {string} said */
  async function attempt(send, said) {
    try {
      replace(await send());
      announce(said, "good");
    } catch (error) {
      announce(api.messageOf(error), "bad");
    }
  }
  /** @param {Target} target @param {Act} does */
  async function act(target, does) {
    const wanted = await ask(target, does, session);
    if (wanted) await attempt(() => api.post("/acts", { key, of: target.of, does, ...wanted }), `${KINDS[target.of]} is on the list; the next decisions know it.`);
  }
  /** @param {Target} target @param {string} list */
  async function takeOff(target, list) {
    const why = await note(`Take off ${list}`, "Take off", "Reason", true);
    if (why) await attempt(() => api.post("/acts/removals", { key, of: target.of, list, why }), `${KINDS[target.of]} is off the list ${list}.`);
  }
  /** @param {Target} target @param {OnList} one */
  const on = (target, one) => h("li", {}, h("span", { class: `badge ${TONES[one.kind]}` }, one.list), one.state !== "live" && ` (${one.state}: no effect)`, ` ${one.expires ? `until ${timeText(Date.parse(one.expires))}` : "for ever"}${one.by ? `, ${one.by}` : ""}${one.why ? `: ${one.why}` : ""} `,
    one.may_remove && h("button", { class: "quiet", "data-key": `off ${target.of} ${one.list}`, "aria-label": `Take ${KINDS[target.of].toLowerCase()} off ${one.list}`, onclick: () => takeOff(target, one.list) }, "Take off"));

  function draw() {
    redraw(holder, targets.map((target) => h("section", { class: "act" },
      h("h3", {}, h("a", { href: `/find/${target.of}/${target.key}` }, KINDS[target.of]), " ", h("span", { class: "code soft" }, target.name)),
      h("div", { class: "row" }, ACTS.map((does) => h("button", { "data-key": `${does} ${target.of}`, class: does === "block" ? "danger" : "", "aria-label": `${DOES[does]} ${KINDS[target.of].toLowerCase()}`,
        disabled: target.needs_lead.includes(does), title: target.needs_lead.includes(does) ? "This needs a lead" : null, onclick: () => act(target, does) }, DOES[does]))),
      h("p", { class: "soft effect" }, "Block: ", effectText(target, "block", session.base_currency)),
      target.lists.length > 0 && h("ul", { class: "on-lists" }, target.lists.map((one) => on(target, one))))));
  }
  try {
    ({ targets } = await api.get("/acts", { key }, { signal }));
    draw();
  } catch (error) {
    if (signal.aborted) return;
    holder.replaceChildren(empty(api.messageOf(error)));
    if (["offline", "store"].includes(api.kindOf(error))) api.events.addEventListener("recovered", () => drawActs(holder, { key, session, signal }), { once: true, signal });
  }
}
