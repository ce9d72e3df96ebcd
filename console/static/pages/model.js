// Champion and challenger: what they are, what their alerts were worth, and what drifts.
import * as api from "/static/api.js";
import { barChart, lineChart, scatterChart } from "/static/chart.js";
import { empty, h, panel, tile } from "/static/dom.js";
import { number, percent, time, words } from "/static/format.js";

const SHOWN = 12;

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { signal }) {
  const known = await api.get("/models");
  const champion = known.models.find((model) => model.role === "champion");
  const maturity = h("select", { onchange: () => { askWorth(); } }, [[30, "older than 30 days"], [7, "older than 7 days"], [0, "of any age"]].map(([value, text]) => h("option", { value }, text)));
  const reference = h("select", { onchange: () => { askDrift(); } }, [["", "training"], [30, "the 30 days before"], [7, "the 7 days before"]].map(([value, text]) => h("option", { value }, text)));
  const worth = h("div", { class: "stack" }, empty("Measuring…")), drift = h("div", { class: "stack" }, empty("Measuring…"));
  root.classList.add("stack");
  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, "Model"), h("label", {}, "Evaluate decisions", maturity), h("label", {}, "Drift against", reference)),
    champion ? h("div", { class: "tiles" },
      tile("Champion", `${number(champion.features.length)} features`, `version ${champion.version}`),
      tile("Average precision", number(champion.metrics.average_precision, 3), "on what training held out"),
      tile("ROC AUC", number(champion.metrics.auc, 3), "on what training held out"),
      tile("Trained on", number(champion.rows), `${number(champion.frauds)} frauds, until ${champion.trained_until.slice(0, 10)}`)) : empty("No model: rules decide alone. `fraud train` makes one."),
    worth,
    h("div", { class: "grid" },
      champion && panel("What the champion looks at", importance(champion)),
      panel("Drift", drift)),
    h("div", { class: "grid" }, known.models.map(card), panel("Versions", versions())));

  /** @param {Model} model */
  function importance(model) {
    return barChart({ title: "Share of the gain of all splits", hideTitle: true, bars: model.importance.slice(0, SHOWN).map(({ feature, share }) => ({ label: feature, value: share, text: percent(share) })) });
  }

  /** @param {Model} model */
  function card(model) {
    return panel(`Model card of the ${model.role}`, h("dl", { class: "pairs" }, Object.entries(model.card).map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
      h("details", {}, h("summary", {}, `Its ${number(model.features.length)} features`), h("p", { class: "code" }, model.features.join(", "))));
  }

  function versions() {
    if (!known.versions.length) return empty("The registry holds no versions; `fraud models register` adds one.");
    return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["Version", "Stage", "Since", "By", "Average precision", "Why"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, known.versions.map((one) => h("tr", {}, h("td", { class: "code" }, one.version), h("td", {}, h("span", { class: `badge ${one.stage === "champion" ? "status-open" : ""}` }, one.stage)),
        h("td", {}, time(Date.parse(one.staged_at))), h("td", {}, one.staged_by || "–"), h("td", { class: "number" }, number(one.metrics.average_precision, 3)), h("td", {}, one.note || "–"))))));
  }

  /**
   * @template T
   * @param {Job<T>} job @param {(result: T) => Node[]} draw
   */
  const unless = (job, draw) => job.state === "done" && job.result ? draw(job.result) : [empty(job.error ? `Not measured: ${job.error}` : `Measuring: ${number(job.done)} decisions so far…`)];

  const askWorth = api.poll("/models/worth", () => ({ maturity_days: maturity.value }), (job) => worth.replaceChildren(...unless(job, drawWorth)), { every: 3_000, signal });
  const askDrift = api.poll("/models/drift", () => ({ reference_days: reference.value }), (job) => drift.replaceChildren(...unless(job, drawDrift)), { every: 3_000, signal });

  /** @param {Worth} found */
  function drawWorth({ reliability, weeks, decisions }) {
    /** @param {"precision" | "recall" | "recall_by_money"} key */
    const share = (key) => weeks.map(/** @returns {[number, number | null]} */ (week) => [week.week_ms, week[key]]);
    return [h("div", { class: "grid" },
      panel("Precision and recall by week", lineChart({ title: "Alerts of all parts together, by week", hideTitle: true, yMax: 1, yFormat: percent, series: [
        { name: "Precision", tone: 1, points: share("precision") }, { name: "Recall", tone: 2, points: share("recall") }, { name: "Recall by money", tone: 3, points: share("recall_by_money") }] }),
      h("p", { class: "soft" }, `${number(decisions)} decisions of matured weeks; without a label they count as good.`)),
      panel("Reliability", scatterChart({ title: "Share of fraud against mean score, in powers of ten", hideTitle: true, isTime: false, log: false, yFormat: percent, xFormat: percent,
        alternative: reliability.map((bin) => `score ${percent(bin.mean_score, 2)}: ${percent(bin.fraud_rate, 2)} fraud of ${number(bin.cases)}`).join("; "),
        points: [...reliability.map(/** @returns {import("/static/chart.js").Dot} */ (bin) => ({ x: bin.mean_score, y: bin.fraud_rate, tone: 1, label: `score ${percent(bin.mean_score, 2)}: ${percent(bin.fraud_rate, 2)} fraud of ${number(bin.cases)} decisions` })),
          ...reliability.map(/** @returns {import("/static/chart.js").Dot} */ (bin) => ({ x: bin.mean_score, y: bin.mean_score, tone: "soft", label: "where a perfect score would lie" }))],
        legend: [{ name: "Measured", tone: 1 }, { name: "Perfect", tone: "soft" }] }),
      h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["Score", "Decisions", "Mean score", "Fraud"].map((name) => h("th", { scope: "col", class: "number" }, name)))),
        h("tbody", {}, reliability.map((bin) => h("tr", {}, [`${percent(bin.from, 2)} – ${percent(bin.to, 2)}`, number(bin.cases), percent(bin.mean_score, 2), percent(bin.fraud_rate, 2)].map((text) => h("td", { class: "number" }, text)))))))))];
  }

  /** @param {Drift} found */
  function drawDrift({ shifts, alert_rate, shifted, reference: before, live }) {
    const span = (/** @type {Span} */ window) => `${window.from.slice(0, 10)} to ${window.until.slice(0, 10)} (${number(window.transactions)} taken)`;
    return [
      h("p", {}, shifted.length ? `Shifted: ${shifted.map(words).join(", ")}.` : "Nothing has shifted.", ` Alerts: ${percent(alert_rate.reference, 2)} before, ${percent(alert_rate.live, 2)} now.`),
      barChart({ title: "Population stability index, what moved most", emptyText: "Nothing moved.", bars: shifts.slice(0, SHOWN).filter((shift) => shift.index >= 0.0005).map(/** @returns {import("/static/chart.js").Bar} */ (shift) => ({ label: shift.name, value: shift.index, tone: shift.level === "shifted" ? "bad" : shift.level === "watch" ? "warn" : 1, text: `${number(shift.index, 3)} (usual ${number(shift.usual, 3)})` })) }),
      h("p", { class: "soft" }, `${span(live)} against ${span(before)}. Only an index of .25 or more that is also above what is usual counts as a shift.`),
    ];
  }
}
