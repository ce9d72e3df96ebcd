// The system at a glance.
import * as api from "/static/api.js";
import { lineChart } from "/static/chart.js";
import { empty, h, panel, redraw, stylesheet, tile } from "/static/dom.js";
import { age, duration, latency, money, number, outcome, percent, shortMoney, words } from "/static/format.js";
import { states } from "/static/watching.js";

const SLOW_MS = 5_000, BEHIND_MS = 10_000, QUIET_MS = 15_000, OLD_MS = 10_000;
/** @type {Partial<Record<string, string>>} */
const TONES = { approve: "good", review: "warn", decline: "bad" };

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { signal }) {
  await Promise.all([stylesheet("/static/watching.css"), stylesheet("/static/pages/live.css")]);
  const state = h("div", { class: "row end" });
  const tiles = h("div", { class: "tiles" }), charts = h("div", { class: "grid charts" });
  const alerts = h("section", { class: "panel scroll alerts" }), side = h("div", { class: "stack side" });
  /** @type {Set<string>} */
  const seen = new Set();
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Live"), state),
    h("div", { class: "stack" }, tiles, charts, h("div", { class: "grid lower" }, alerts, side)));

  /** @param {Live} data */
  function show(data) {
    // What the console has not looked at yet, the job may have decided: only up to its last look it knows that nothing was.
    const quiet = data.last_decided_ms === null || data.as_of_ms === null ? null : data.as_of_ms - data.last_decided_ms;
    const old = data.as_of_ms === null ? null : Date.now() - data.as_of_ms;
    redraw(state, states(data.reach), old === null ? h("span", { class: "state" }, "nothing read yet") : h("span", { class: old > OLD_MS ? "state warn" : "state" }, `figures ${duration(old)} old`),
      data.warming_up && h("span", { class: "state" }, "the job is warming up: pace and latency begin when it has caught up"),
      data.paused.map((one) => h("span", { class: "state bad", title: one.problem }, `events to ${one.receiver} paused for ${duration(Date.now() - one.since_ms)}: ${one.problem}`)), quiet !== null && quiet > QUIET_MS && h("span", { class: "state warn" }, `no decision for ${duration(quiet)}`));
    tiles.replaceChildren(...figures(data));
    charts.replaceChildren(...lines(data));
    redraw(alerts, newest(data, seen));
    side.replaceChildren(outcomes(data), campaigns(data));
  }
  api.poll("/live", {}, show, { every: 2_000, signal });
}

/** @param {Live} data */
function figures(data) {
  const { currency } = data;
  const decided = Object.values(data.outcomes).reduce((sum, count) => sum + count, 0);
  const alerted = decided - data.outcomes.approve;
  const minutes = Math.round(data.window_s / 60);
  const total = (/** @type {"frauds" | "alerted" | "lost_minor" | "saved_minor"} */ name) => data.campaigns.reduce((sum, one) => sum + one[name], 0);
  const slow = (data.latency_p99_ms ?? 0) > SLOW_MS ? "warn" : "";
  const behind = (data.lag_ms ?? 0) > BEHIND_MS ? "bad" : "";
  return [
    tile("Transactions a second", data.warming_up ? "–" : number(data.tx_per_s, data.tx_per_s < 10 ? 1 : 0), `${number(decided)} in ${minutes} min`),
    tile("Alerts a second", data.warming_up ? "–" : number(data.alerts_per_s, 1), decided ? `${percent(alerted / decided)} of transactions` : ""),
    tile("Latency p50", latency(data.latency_p50_ms), data.to_alert_p50_ms === null ? "sent to decided, on the stream" : `to the alert ${latency(data.to_alert_p50_ms)}`),
    tile("Latency p99", latency(data.latency_p99_ms), data.to_alert_p99_ms === null ? "sent to decided" : `to the alert ${latency(data.to_alert_p99_ms)}`, slow),
    ...(data.answers ? [tile("In the call p50", latency(data.answer_p50_ms), `${number(data.answers)} in a minute`), tile("In the call p99", latency(data.answer_p99_ms), "received to decided")] : []),
    tile("Lag", latency(data.lag_ms), data.lag_ms === null ? "the job reports none" : "of the slowest shard", behind),
    tile("Money at risk", shortMoney(data.at_risk_minor, currency), `in ${number(alerted)} alerts, ${minutes} min`, data.at_risk_minor ? "warn" : ""),
    data.truth_known
      ? tile("Money saved", shortMoney(total("saved_minor"), currency), `lost ${shortMoney(total("lost_minor"), currency)}`, "good")
      : tile("Money saved", "–", "needs the ground truth"),
    tile("Fraud caught", total("frauds") ? percent(total("alerted") / total("frauds"), 0) : "–",
      total("frauds") ? `${number(total("alerted"))} of ${number(total("frauds"))}` : "needs the ground truth"),
  ];
}

/** @param {Live} data */
function lines({ series }) {
  /** @param {Exclude<keyof Live["series"], "at_ms">} name */
  const points = (name) => series.at_ms.map(/** @returns {[number, number | null]} */ (at, place) => [at, series[name][place]]);
  const begun = series.tx_per_s.findIndex((value) => value !== null && value > 0);
  const cut = (/** @type {[number, number | null][]} */ all) => (begun < 0 ? [] : all.slice(Math.max(0, begun - 1)));
  /** @type {import("/static/chart.js").Series[]} */
  const answered = series.answer_p99_ms.some((value) => value !== null) ? [{ name: "in the call, p99", tone: "good", points: cut(points("answer_p99_ms")) }] : [];
  return [
    panel("Transactions a second", lineChart({ title: "Transactions a second", hideTitle: true, area: true, emptyText: "No transaction in the last ten minutes.",
      series: [{ name: "transactions", tone: 1, points: cut(points("tx_per_s")) }] })),
    panel("Alerts a second", lineChart({ title: "Alerts a second", hideTitle: true, area: true, emptyText: "No transaction in the last ten minutes.",
      yFormat: (value) => number(value, 1), series: [{ name: "alerts", tone: "bad", points: cut(points("alerts_per_s")) }] })),
    panel("Latency, sent to decided", lineChart({ title: "Latency, sent to decided", hideTitle: true, yFormat: latency, emptyText: "No transaction in the last ten minutes.",
      series: [{ name: "p50", tone: 1, points: cut(points("latency_p50_ms")) }, { name: "p99", tone: 2, points: cut(points("latency_p99_ms")) }, ...answered] })),
  ];
}

/** @param {Live} data */
function outcomes(data) {
  const entries = Object.entries(data.outcomes), all = entries.reduce((sum, [, count]) => sum + count, 0);
  if (!all) return panel("Outcomes", empty("Nothing decided in the last ten minutes."));
  const text = entries.map(([name, count]) => `${name} ${number(count)}`).join(", ");
  const bar = h("div", { class: "stripe", role: "img", "aria-label": text }, entries.filter(([, count]) => count).map(([name, count]) => {
    const part = h("span", { class: `tone-${TONES[name]}` });
    part.style.flexGrow = String(count);
    return part;
  }));
  return panel(`Outcomes, ${Math.round(data.window_s / 60)} min`, bar, h("ul", { class: "stripe-legend" },
    entries.map(([name, count]) => h("li", {}, outcome(name), " ", h("strong", {}, number(count)), ` ${percent(count / all, 2)}`))));
}

/** @param {Live} data */
function campaigns(data) {
  if (!data.truth_known) return panel("Fraud by campaign", empty("Which transactions are fraud is not known here."));
  if (!data.campaigns.length) return panel("Fraud by campaign", empty("No fraud decided yet."));
  const rows = [...data.campaigns].sort((a, b) => b.frauds - a.frauds);
  return h("section", { class: "panel scroll campaigns", tabindex: 0, "aria-label": "Fraud by campaign" }, h("h2", {}, "Fraud by campaign"), h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Campaign"), h("th", { scope: "col" }, "Caught"),
      ["Lost", "Saved"].map((name) => h("th", { scope: "col", class: "number" }, name)))),
    h("tbody", {}, rows.map((one) => {
      const fill = h("span");
      fill.style.width = `${(100 * one.alerted) / one.frauds}%`;
      return h("tr", {}, h("th", { scope: "row" }, words(one.campaign)),
        h("td", {}, `${number(one.alerted)} of ${number(one.frauds)}`, h("span", { class: "meter", "aria-hidden": true }, fill)),
        h("td", { class: "number" }, money(one.lost_minor, data.currency)), h("td", { class: "number" }, money(one.saved_minor, data.currency)));
    }))));
}

/** @param {Live} data @param {Set<string>} seen */
function newest(data, seen) {
  const title = h("h2", {}, "Newest alerts");
  if (!data.alerts.length) return [title, empty("No alert yet.")];
  const first = seen.size === 0;
  const rows = data.alerts.map((alert) => {
    const fresh = !first && !seen.has(alert.key);
    return h("tr", { class: fresh ? "fresh" : null }, h("td", {}, age(alert.decided_ms)), h("td", {}, outcome(alert.outcome)),
      h("td", { class: "number" }, money(alert.amount_minor, alert.currency)),
      h("td", {}, h("a", { href: `/case/${alert.key}`, "data-key": alert.key, class: "code" }, alert.card_token),
        h("div", { class: "reasons" }, alert.reasons.join("; "))));
  });
  seen.clear();
  for (const alert of data.alerts) seen.add(alert.key);
  return [title, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Age"), h("th", { scope: "col" }, "Outcome"),
    h("th", { scope: "col", class: "number" }, "Amount"), h("th", { scope: "col" }, "Card and reasons"))), h("tbody", {}, rows))];
}
