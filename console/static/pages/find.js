// Search over all payments, and the pages of a payment, card, customer, merchant, device or address.
// Addresses hold keys, never what was typed: that stays with the page's place in the history of the tab.
import { KINDS, drawActs } from "/static/acts.js";
import * as api from "/static/api.js";
import { lineChart } from "/static/chart.js";
import { empty, h, panel, redraw, stylesheet, tile } from "/static/dom.js";
import { channel, country, money, number, outcome, percent, status, time, words } from "/static/format.js";

/** @type {Record<Kind, string>} */
const PLURALS = { card: "Cards", customer: "Customers", merchant: "Merchants", device: "Devices", ip: "Addresses" };

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, tools) {
  await stylesheet("/static/pages/find.css");
  const [kind, key] = tools.path;
  if (!kind) return mountSearch(root, tools);
  if (kind === "payment") return mountPayment(root, tools, key);
  return mountAbout(root, tools, kind, key);
}

/** @type {Kind[]} */
const KNOWN = ["card", "customer", "merchant", "device", "ip"];

/** @param {(text: string) => unknown} go @param {string} text */
const box = (go, text = "") => {
  const wanted = h("input", { type: "search", name: "text", maxlength: 100, minlength: 2, required: true, value: text, placeholder: "transaction, decision key, card or its last four digits, customer, merchant, device, address", autocomplete: "off" });
  const form = h("form", { class: "find-box panel", role: "search", onsubmit: (event) => { event.preventDefault(); go(wanted.value.trim()); } }, h("label", {}, "Find by the beginning", wanted), h("button", { class: "primary" }, "Search"));
  return { form, wanted };
};

/** @param {HTMLElement} root @param {Tools} tools */
function mountSearch(root, { signal }) {
  const kept = history.state?.search ?? "";
  const found = h("div", { class: "stack", "aria-live": "polite" });
  const { form, wanted } = box((text) => { history.replaceState({ ...history.state, search: text }, ""); search(text); }, kept);
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Search")), h("div", { class: "stack" }, form, found));
  wanted.focus();

  /** @param {string} text */
  async function search(text) {
    found.replaceChildren(empty("Searching…"));
    try {
      const { payments, names, more, complete } = await api.post("/find", { text }, { signal });
      const kinds = KNOWN.flatMap((kind) => { const list = names[kind]; return list ? [{ kind, list }] : []; });
      redraw(found, payments.length + kinds.length === 0 && empty("Nothing begins with this, or it is older than what the console keeps."),
        payments.length > 0 && panel(`Payments${more.includes("payment") ? ", the first" : ""}`, rows(payments)),
        kinds.length > 0 && h("div", { class: "grid" }, kinds.map(({ kind, list }) => panel(`${PLURALS[kind]}${more.includes(kind) ? ", the first" : ""}`, nameList(list)))), unfinished(complete));
    } catch (error) {
      if (!signal.aborted) found.replaceChildren(empty(api.messageOf(error)));
    }
  }
  if (kept) search(kept);
}

/** @param {Named} named */
const link = ({ kind, key, name }) => h("a", { class: "code", href: `/find/${kind}/${key}` }, name);
/** @param {Named[]} list */
const nameList = (list) => h("ul", { class: "names" }, list.map((one) => h("li", {}, link(one), one.payments !== undefined && h("span", { class: "soft" }, ` ${number(one.payments)}`))));
/** @param {boolean} complete */
const unfinished = (complete) => !complete && h("p", { class: "soft" }, "The console is still reading the archive; older payments may be missing.");
/** @param {([name: string, value: Child] | false)[]} all */
const pairs = (all) => h("dl", { class: "pairs" }, all.map((pair) => pair && [h("dt", {}, pair[0]), h("dd", {}, pair[1])]));

/** @param {FoundPayment[]} payments */
const rows = (payments) => h("div", { class: "scroll rows", tabindex: 0, role: "region", "aria-label": "Payments" }, h("table", {},
  h("thead", {}, h("tr", {}, ["When", "Transaction", "Amount", "Card", "Merchant", "Where", "Outcome"].map((name) => h("th", { scope: "col", class: name === "Amount" ? "number" : "" }, name)))),
  h("tbody", {}, payments.map((one) => h("tr", {}, h("td", {}, time(one.event_ms)), h("td", {}, h("a", { class: "code", href: `/find/payment/${one.key}` }, one.transaction_id)),
    h("td", { class: "number" }, money(one.amount_minor, one.currency)), h("td", { class: "code" }, one.card_token), h("td", {}, one.merchant_id, one.mcc_name && h("div", { class: "soft" }, one.mcc_name)),
    h("td", {}, country(one.merchant_country), h("div", { class: "soft" }, channel(one.channel))), h("td", {}, outcome(one.outcome), one.status && [" ", h("a", { href: `/case/${one.key}` }, words(one.status))]))))));

/** @param {HTMLElement} root @param {Tools} tools @param {string} key */
async function mountPayment(root, { session, signal }, key) {
  const { payment: one, names, complete } = await api.get("/find/payment", { key }, { signal });
  const mayChange = session.role !== "viewer", acts = h("div", {}, empty("Loading…"));
  const named = (/** @type {Kind} */ kind) => names.filter((name) => name.kind === kind).map(link);
  root.replaceChildren(
    h("div", { class: "head" }, h("a", { href: "/find", class: "button" }, "← Search"), h("h1", {}, money(one.amount_minor, one.currency), " ", h("span", { class: "soft" }, `at ${one.merchant_id}`)), outcome(one.outcome),
      one.status ? [status(one.status), h("a", { class: "button end", href: `/case/${key}` }, "Open the case")] : h("span", { class: "soft" }, "no alert")),
    h("div", { class: "grid" }, panel("Payment", pairs([["Transaction", h("span", { class: "code" }, one.transaction_id)], ["Happened", time(one.event_ms)], ["Amount", money(one.amount_minor, one.currency)],
      one.currency !== session.base_currency && ["Billed", money(one.billing_amount_minor, session.base_currency)], ...KNOWN.map(/** @returns {[string, Child] | false} */ (kind) => named(kind).length > 0 && [KINDS[kind], named(kind)]),
      ["Category", one.mcc_name ? `${one.mcc_name} (${one.mcc})` : one.mcc], ["Country", country(one.merchant_country)], ["Channel", channel(one.channel)], ["Authorisation", words(one.authorisation_result)],
      ["Score", one.score === null ? "–" : percent(one.score)], one.reasons.length > 0 && ["Reasons", h("ul", {}, one.reasons.map((text) => h("li", {}, text)))]]), unfinished(complete)),
    mayChange && panel("Act", acts)));
  if (mayChange) await drawActs(acts, { key, session, signal });
}

/** @param {HTMLElement} root @param {Tools} tools @param {string} kind @param {string} key */
async function mountAbout(root, { session, signal }, kind, key) {
  const about = await api.get("/find/about", { kind, key }, { signal });
  const base = session.base_currency, mayChange = session.role !== "viewer", acts = h("div", {}, empty("Loading…"));
  /** @param {"payments" | "alerts"} name */
  const days = (name) => about.days.map(/** @returns {[number, number]} */ (day) => [day.day_ms, day[name]]);
  root.replaceChildren(
    h("div", { class: "head" }, h("a", { href: "/find", class: "button" }, "← Search"), h("h1", {}, `${KINDS[about.name.kind]} `, h("span", { class: "code" }, about.name.name))),
    h("div", { class: "stack" },
      h("div", { class: "tiles" }, tile("Payments", `${number(about.payments)}${about.more ? "+" : ""}`, about.more ? "the newest are summed up" : ""), tile("Alerts", number(about.alerts), about.payments ? percent(about.alerts / about.payments) : "", about.alerts ? "warn" : ""),
        tile("Billed", money(about.billing_minor, base))),
      h("div", { class: "grid" },
        panel("Payments and alerts a day (UTC)", lineChart({ title: "Payments and alerts a day (UTC)", hideTitle: true, height: 150, series: [{ name: "payments", points: days("payments"), tone: 1 }, { name: "alerts", points: days("alerts"), tone: "bad" }] })),
        panel("Shares", pairs(KNOWN.map(/** @returns {[string, Child] | false} */ (other) => { const list = about.shared[other] ?? []; return list.length > 0 && [PLURALS[other], nameList(list)]; }))),
        mayChange && panel("Act", acts)),
      panel(`Newest payments (${number(about.newest.length)})`, rows(about.newest)), unfinished(about.complete)));
  if (mayChange) await drawActs(acts, { key, session, signal });
}
