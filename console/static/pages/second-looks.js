// Alerts that are decided twice: the second analyst does not see what the first one said.
import * as api from "/static/api.js";
import { empty, h, panel } from "/static/dom.js";
import { channel, country, money, number, outcome, percent, time, words } from "/static/format.js";

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { session, announce, signal }) {
  const count = h("span", { class: "soft end", role: "status" }), place = h("div", { class: "stack" });
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Second look"), count),
    h("p", { class: "soft" }, "Another analyst has decided these alerts. Say what you would have said; alert and label stay as they are."), place);

  /** @param {Alert} alert @param {"fraud" | "legitimate"} verdict */
  async function say(alert, verdict) {
    try {
      await api.post("/second-looks", { key: alert.key, verdict });
    } catch (error) {
      announce(api.messageOf(error), "bad");
    }
    await load();
  }

  async function load() {
    const { due, alert } = await api.get("/second-looks", {}, { signal });
    count.textContent = `${number(due)} due`;
    place.replaceChildren(alert ? draw(alert) : empty("No second look is due."));
  }

  /** @param {NonNullable<SecondLook["alert"]>} alert */
  function draw(alert) {
    /** @type {[string, Child][]} */
    const pairs = [["Transaction", h("span", { class: "code" }, alert.transaction_id)], ["When", time(alert.event_ms)], ["Card", h("span", { class: "code" }, alert.card_token)],
      ["Merchant", h("span", { class: "code" }, alert.merchant_id)], ["Category", alert.mcc], ["Country", country(alert.merchant_country)], ["Channel", channel(alert.channel)],
      ["Amount", money(alert.billing_amount_minor, session.base_currency)], ["Decided", outcome(alert.outcome)], ["Score", percent(alert.score ?? null)]];
    const features = Object.entries(alert.features ?? {});
    return h("div", { class: "grid" },
      panel("Payment", h("dl", { class: "pairs" }, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
      panel("Why it was raised", h("ul", {}, alert.reasons.map((text) => h("li", {}, text))),
        features.length > 0 && h("dl", { class: "pairs" }, features.map(([name, value]) => [h("dt", {}, words(name)), h("dd", {}, number(value, 2))])),
        h("div", { class: "row" }, h("button", { class: "danger", onclick: () => say(alert, "fraud") }, "Fraud"), h("button", { onclick: () => say(alert, "legitimate") }, "False positive"))));
  }

  await load();
}
