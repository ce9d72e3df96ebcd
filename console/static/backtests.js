// Backtests: begun, followed while they run, kept with what they found; and what their figures suggest.
import * as api from "/static/api.js";
import { barChart, lineChart } from "/static/chart.js";
import { empty, flat, h, panel, redraw } from "/static/dom.js";
import { duration, money, number, percent, time } from "/static/format.js";

/** @type {Record<Run["state"], string>} */
const TONES = { waiting: "", running: "warn", done: "good", failed: "bad", cancelled: "" };
/** @type {Record<Suggestion["kind"], string>} */
const KINDS = { noisy: "Costs more than it finds", overlapping: "Repeats another rule", thresholds: "Thresholds" };

/** @type {(ms: number, signal: AbortSignal) => Promise<void>} */
const pause = (ms, signal) => new Promise((resolve) => { const timer = setTimeout(resolve, ms); signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }); });
/** @param {Run} run */
const open = (run) => run.ended_ms === null;

/** How far a run is, in words. @param {Run} run */
function far(run) {
  if (run.state === "waiting") return run.before_it ? `${number(run.before_it)} before it` : "next";
  if (run.state !== "running") return run.error ?? `${number(run.done)} decisions`;
  if (!run.total) return "starting";
  return `${number(run.done)} of ${number(run.total)} decisions${run.left_ms === null ? "" : `, about ${duration(run.left_ms)} left`}`;
}

/** @param {Run} run */
const bar = (run) => h("progress", { "aria-label": "Decisions replayed", max: run.total || null, value: run.total ? run.done : null });

/** @param {Run} run @param {Announce} announce */
async function cancel(run, announce) {
  try {
    await api.post(`/rules/backtests/${run.job_id}/cancel`);
    announce("The backtest is cancelled.");
  } catch (error) { announce(api.messageOf(error), "bad"); }
}

/** Puts a backtest into the queue and goes to its page. @param {Trial} trial @param {{ go: Go, announce: Announce }} tools */
export async function begin(trial, { go, announce }) {
  try {
    const { job_id } = await api.post("/rules/backtests", trial);
    go(`/rules/run/${job_id}`);
  } catch (error) { announce(api.messageOf(error), "bad"); }
}

/**
 * Follows a run in a place until it has ended, then shows what it found.
 *
 * @param {string} job_id @param {HTMLElement} place @param {{ announce: Announce, signal: AbortSignal }} tools
 */
async function follow(job_id, place, { announce, signal }) {
  try {
    for (;;) {
      const run = await api.get(`/rules/backtests/${job_id}`, {}, { signal, itself: true });
      if (!open(run)) return void place.replaceChildren(...(run.state === "done" && "result" in run ? report(run) : [empty(run.error)]));
      redraw(place, bar(run), h("div", { class: "row" }, h("p", { class: "soft", role: "status" }, far(run)), h("button", { "data-key": "cancel", onclick: () => cancel(run, announce) }, "Cancel")));
      await pause(500, signal);
    }
  } catch (error) { if (!signal.aborted) place.replaceChildren(empty(api.messageOf(error))); }
}

/**
 * Begins a backtest and follows it where one is.
 *
 * @param {Trial} trial @param {HTMLElement} place @param {{ announce: Announce, signal: AbortSignal }} tools
 */
export async function tryOut(trial, place, { announce, signal }) {
  place.replaceChildren(empty("Waiting…"));
  try {
    const { job_id } = await api.post("/rules/backtests", trial);
    await follow(job_id, place, { announce, signal });
  } catch (error) { if (!signal.aborted) place.replaceChildren(empty(api.messageOf(error))); }
}

/** One run, while it is under way and afterwards. @param {string} job_id @param {{ announce: Announce, signal: AbortSignal }} tools */
export function runPanel(job_id, { announce, signal }) {
  const place = h("div", { class: "stack" }, empty("Loading…"));
  follow(job_id, place, { announce, signal });
  return panel("Backtest", place);
}

/** The queue and the history. @param {Pick<Tools, "session" | "announce" | "signal"> & { may: (role: Role) => boolean }} tools */
export function backtestsPanel({ session, may, announce, signal }) {
  const place = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Backtests, newest first" }, empty("Loading…"));
  /** @param {Run} run @returns {HTMLElement} */
  const row = (run) => h("tr", {}, h("td", {}, h("a", { href: `/rules/run/${run.job_id}`, "data-key": run.job_id }, run.title)), h("td", {}, h("span", { class: `badge ${TONES[run.state]}` }, run.state)),
    h("td", {}, far(run), run.state === "running" && bar(run)), h("td", { class: "soft" }, run.owner), h("td", { class: "soft" }, time(run.started_ms)),
    h("td", {}, open(run) && (run.owner === session.name || may("lead")) && h("button", { class: "quiet", "data-key": `cancel ${run.job_id}`, "aria-label": `Cancel ${run.title}`, onclick: async () => { await cancel(run, announce); again(); } }, "Cancel")));
  const again = api.poll("/rules/backtests", {}, ({ runs }) => redraw(place, runs.length ? h("table", {}, h("thead", {}, h("tr", {}, ["Backtest", "State", "How far", "By", "Asked", "Change"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, runs.map(row))) : empty("Nobody has run one yet.")), { every: 2_000, signal });
  return panel("Backtests", place);
}

/**
 * What the figures of a backtest suggest, each to try and to propose.
 *
 * @param {Pick<Tools, "go" | "announce" | "signal"> & { may: (role: Role) => boolean, pack: RulePack,
 *   evaluated: { days: number, maturity: number }, done: () => unknown }} tools
 */
export function suggestionsPanel({ pack, may, go, announce, signal, evaluated, done }) {
  const place = h("div", { class: "stack" }, empty("Loading…"));
  const look = h("button", { onclick: async () => {
    try { await api.post("/rules/suggestions", { days: evaluated.days, maturity_days: evaluated.maturity }); } catch (error) { announce(api.messageOf(error), "bad"); }
    again();
  } }, "Look again");

  /** @param {Suggestion} suggestion */
  async function propose({ edit }) {
    const { version } = pack;
    try {
      const { proposal } = edit.kind === "state" ? await api.post(`/rules/${encodeURIComponent(edit.rule)}/state`, { version, state: edit.state })
        : await api.post("/rules/thresholds", { version, thresholds: edit.thresholds });
      announce(proposal ? "It is proposed, see Changes." : "It is in effect.", "good");
    } catch (error) { announce(api.messageOf(error), "bad"); }
    await done();
  }

  /** @param {Suggestion} one */
  const item = (one) => h("li", {}, h("div", { class: "row" }, h("span", { class: "badge warn" }, KINDS[one.kind]), h("strong", {}, one.title)), h("p", {}, one.why),
    h("div", { class: "row" }, h("button", { "data-key": `try ${one.title}`, "aria-label": `Backtest ${one.title}`, onclick: () => begin({ edit: one.edit, days: evaluated.days, maturity_days: evaluated.maturity }, { go, announce }) }, "Backtest"),
      may("lead") && h("button", { "data-key": `propose ${one.title}`, "aria-label": `Propose ${one.title}`, onclick: () => propose(one) }, one.kind === "thresholds" ? "Propose" : "To shadow")));

  /** @param {Suggestions} suggestions */
  function said({ looked, under_way: running }) {
    if (running) return h("p", { class: "soft", role: "status" }, `Looking: ${far(running)}`);
    if (!looked) return h("p", { class: "soft" }, "Nobody has looked yet.");
    const within = looked.reviews_per_day === null ? "" : `, within ${number(looked.reviews_per_day, 1)} cases a day`;
    return h("p", { class: "soft" }, `From ${number(looked.decisions)} decisions, ${number(looked.mature)} of them old enough to evaluate${within}; `, time(looked.ended_ms), `, ${looked.owner}.`);
  }

  const again = api.poll("/rules/suggestions", {}, (data) => {
    look.textContent = data.looked ? "Look again" : "Look for some";
    look.disabled = Boolean(data.under_way);
    redraw(place, h("div", { class: "row" }, look, said(data)), data.suggestions.length ? h("ul", { class: "changes", "aria-label": "Suggestions" }, data.suggestions.map(item)) : data.looked && empty("Nothing to change."));
  }, { every: 3_000, signal });
  return panel("What the figures suggest", place);
}

/** What a run found, as elements. @param {EndedRun} run */
export function report({ job_id, result, figures }) {
  const currency = result.base_currency;
  /** @param {number | null} value @param {string} form */
  const show = (value, form) => value === null ? "–" : form === "money" ? money(Math.round(value), currency) : form === "share" ? percent(value) : number(value, 1);
  const { live, candidate } = result.variants;
  /** @param {"live" | "candidate"} variant */
  const days = (variant) => result.by.day[variant].map(/** @returns {[number, number]} */ ({ day, reviews, declines }) => [Date.parse(day), reviews + declines]);
  const found = result.rules.filter((rule) => rule.fired);
  return flat([
    h("p", {}, `${number(result.decisions)} decisions, ${number(live.mature)} evaluated, ${number(result.known_frauds)} known frauds.`, !live.mature && " None is old enough to be evaluated: lower the age."),
    h("div", { class: "scroll" }, h("table", { class: "compare" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, ""), h("th", { scope: "col", class: "number" }, "Live"), h("th", { scope: "col", class: "number" }, "With it"), h("th", { scope: "col", class: "number" }, "Change"))),
      h("tbody", {}, figures.map(([key, title, form]) => {
        const change = live[key] === null || candidate[key] === null ? null : candidate[key] - live[key];
        return h("tr", {}, h("td", {}, title), h("td", { class: "number" }, show(live[key], form)), h("td", { class: "number" }, show(candidate[key], form)), h("td", { class: "number" }, change ? `${change > 0 ? "+" : ""}${show(change, form)}` : "–"));
      })))),
    lineChart({ title: "Alerts a day", series: [{ name: "Live", tone: 1, points: days("live") }, { name: "With it", tone: 2, points: days("candidate") }] }),
    barChart({ title: "Most hits", bars: [...found].sort((a, b) => b.fired - a.fired).slice(0, 8).map((rule) => ({ label: rule.rule, value: rule.fired, text: `${number(rule.fired)}, ${percent(rule.precision)} fraud, ${number(rule.already_alerted)} alerted already` })) }),
    result.budget && h("div", {}, h("h3", {}, "Thresholds for the budget"), h("p", {}, `${number(result.budget.reviews_per_day, 1)} reviews a day save ${money(Math.round(result.budget.saved_minor_per_day), currency)} a day; nine of ten redraws of the days between ${result.budget.range.saved_minor_per_day.map((value) => money(Math.round(value), currency)).join(" and ")}.`),
      h("dl", { class: "pairs" }, Object.entries(result.budget.thresholds).map(([segment, limits]) => [h("dt", {}, segment), h("dd", {}, `review from ${limits.review === null ? "never" : number(limits.review, 4)}, decline from ${limits.decline === null ? "never" : number(limits.decline, 4)}`)]))),
    Object.entries(result.samples).map(([kind, cases]) => cases.length > 0 && h("div", {}, h("h3", {}, `Sample: ${kind}`), h("ul", {}, cases.map((one) => h("li", {}, `${money(one.billing_amount_minor, currency)}, `, h("span", { class: "code" }, one.card_token), ` at `, h("span", { class: "code" }, one.merchant_id), `: ${one.reasons.join("; ")}`))))),
    h("p", {}, h("a", { class: "button", href: `/api/rules/backtests/${job_id}/report`, download: "backtest.html", target: "_blank" }, "Download the whole report")),
  ]);
}
