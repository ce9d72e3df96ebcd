// Changes of the policy: proposals to approve, the history, and the way back.
import * as api from "/static/api.js";
import { begin } from "/static/backtests.js";
import { empty, h, panel } from "/static/dom.js";
import { time } from "/static/format.js";

/** @type {Record<Proposal["state"], string>} */
const TONES = { proposed: "warn", approved: "good", rejected: "bad", withdrawn: "" };

/** A form that proposes limits of one segment; an empty one is never. @param {RulePack} pack @param {{ announce: Announce, done: () => unknown }} tools */
export function proposeThresholds(pack, { announce, done }) {
  const limit = () => h("input", { type: "number", min: 0, max: 1, step: "any", placeholder: "never" });
  const segment = h("select", { onchange: () => { fill(); } }, pack.thresholds.map((one) => h("option", { value: one.segment }, one.segment)));
  const review = limit(), decline = limit();
  const read = (/** @type {HTMLInputElement} */ field) => field.value === "" ? null : Number(field.value);
  function fill() {
    const of = pack.thresholds.find((one) => one.segment === segment.value);
    review.value = String(of?.review ?? "");
    decline.value = String(of?.decline ?? "");
  }
  fill();
  return h("form", { class: "row", "aria-label": "Propose thresholds", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await api.post("/rules/thresholds", { version: pack.version, thresholds: { [segment.value]: { review: read(review), decline: read(decline) } } });
      announce("The thresholds are proposed.", "good");
      done();
    } catch (error) { announce(api.messageOf(error), "bad"); }
  } }, h("label", {}, "Segment", segment), h("label", {}, "Review from", review), h("label", {}, "Decline from", decline), h("button", {}, "Propose"));
}

/**
 * Proposals and history, each with its diff.
 *
 * @param {Pick<Tools, "session" | "go" | "announce"> & { pack: RulePack, may: (role: Role) => boolean, done: () => unknown }} tools
 */
export function changesPanel({ pack, may, session, go, announce, done }) {
  const place = h("div", { class: "stack" }, empty("Loading…"));

  /** @param {`/rules/proposals/${string}` | "/rules/rollbacks"} path @param {object} body @param {string} said */
  async function send(path, body, said) {
    try {
      const { proposal } = await api.post(path, { version: pack.version, ...body });
      announce(proposal ? "Another lead must approve it." : said, "good");
    } catch (error) { announce(api.messageOf(error), "bad"); }
    await done();
  }

  const lines = (/** @type {string} */ text) => h("details", {}, h("summary", {}, "What changes"), h("pre", { class: "condition code" }, text));

  /** @param {Proposal} one @param {boolean} approval */
  function proposal(one, approval) {
    const own = one.by === session.name, waits = one.state === "proposed" && may("lead");
    const decide = (/** @type {boolean} */ approve, /** @type {string} */ said) => send(`/rules/proposals/${one.name}`, { approve }, said);
    return h("li", {}, h("div", { class: "row" }, h("span", { class: `badge ${TONES[one.state]}` }, one.state), one.in_shadow && h("span", { class: "badge warn" }, "in shadow"), one.title, h("span", { class: "soft" }, `${one.by}, `, time(one.at_ms), one.decided_by && ` · ${one.decided_by}`)),
      one.fault && h("p", { class: "form-error" }, one.fault), one.diff && lines(one.diff),
      waits && h("div", { class: "row" }, one.in_shadow === false && h("button", { class: "primary", "aria-label": `Run in shadow: ${one.title}`, onclick: () => send(`/rules/proposals/${one.name}/shadow`, {}, "It runs in shadow.") }, "Run in shadow"),
        !(own && approval) && !one.fault && one.in_shadow !== false && h("button", { class: "primary", onclick: () => decide(true, "It is in effect.") }, "Approve"),
        !one.fault && h("button", { "aria-label": `Backtest ${one.title}`, onclick: () => begin({ proposal: one.name }, { go, announce }) }, "Backtest"),
        h("button", { onclick: () => decide(false, own ? "It is withdrawn." : "It is rejected.") }, own ? "Withdraw" : "Reject"), own && approval && h("span", { class: "soft" }, "Another lead must approve it.")));
  }

  const change = (/** @type {PolicyChange} */ one) => h("li", {}, h("div", { class: "row" }, h("span", {}, `${one.act} `, h("strong", {}, one.what)), h("span", { class: "soft" }, `${one.by}, `, time(one.at_ms)),
    may("lead") && h("button", { class: "quiet end", "aria-label": `Roll back ${one.what}`, onclick: () => confirm(`The policy becomes what it was before: ${one.act} ${one.what}. Later changes go too.`) && send("/rules/rollbacks", { number: one.number }, "The policy is back.") }, "Roll back")), lines(one.diff));

  (async () => {
    try {
      const { approval, proposals, history } = await api.get("/rules/changes");
      place.replaceChildren(
        proposals.length ? h("ul", { class: "changes", "aria-label": "Proposals" }, proposals.map((one) => proposal(one, approval))) : empty("Nothing is proposed."),
        h("h3", {}, "History"), history.length ? h("ul", { class: "changes", "aria-label": "History" }, history.map(change)) : empty("Nothing was changed here yet."));
    } catch (error) { if (place.isConnected) place.replaceChildren(empty(api.messageOf(error))); }
  })();
  return panel("Changes", place);
}
