// The team for its lead: verdicts and times, backlog, false positives, agreement; each table as CSV.
import * as api from "/static/api.js";
import { empty, h, redraw, tile } from "/static/dom.js";
import { duration, money, number, percent, time, words } from "/static/format.js";

/** @type {[days: number, text: string][]} */
const DAYS = [[1, "last day"], [7, "last 7 days"], [30, "last 30 days"], [90, "last 90 days"]];
const EVERY = 3_000;

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { session, go, signal, parameters }) {
  const days = Number(parameters.get("days")) || 7;
  const span = h("select", { onchange: ({ target }) => go(`/team?days=${target.value}`, { replace: true }) },
    DAYS.map(([value, text]) => h("option", { value, selected: value === days }, text)));
  const asOf = h("span", { class: "soft end", role: "status" }, "Reading the alerts…");
  const tiles = h("div", { class: "tiles" }), tables = h("div", { class: "stack" });
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Team"), h("label", {}, "Verdicts of the", span), asOf), h("div", { class: "stack" }, tiles, tables));

  // How the cells of a column are shown: as words where nothing is said.
  /** @type {(cell: Cell) => Child} */
  const said = (cell) => words(String(cell ?? "–"));
  /** @type {(show: (value: number | null) => Child) => (cell: Cell) => Child} */
  const figure = (show) => (cell) => show(cell === null ? null : Number(cell));
  const count = figure((value) => number(value)), share = figure((value) => percent(value)), long = figure((ms) => ms === null ? "–" : duration(ms));
  const inBase = figure((minor) => money(minor, session.base_currency)), day = figure((ms) => new Date(ms ?? 0).toISOString().slice(0, 10));
  /** @type {(cell: Cell) => Child} */
  const key = (cell) => h("a", { href: `/case/${cell}`, class: "code" }, String(cell).slice(0, 12), "…");

  // Each table: name of its export, title, and columns as [title, field, how it is shown].
  /** @typedef {[title: string, field: string, shown?: (cell: Cell) => Child]} Column */
  /** @type {[name: TeamTable, title: string, columns: Column[]][]} */
  const TABLES = [
    ["analysts", "By analyst", [["Analyst", "analyst"], ["Verdicts", "closed", count], ["Fraud", "fraud", count], ["False positives", "legitimate", count], ["Fraud share", "fraud_share", share],
      ["Taken back", "taken_back", count], ["Handling, median", "handling_ms", long], ["Measured on", "handled", count], ["Decision to verdict, median", "waiting_ms", long]]],
    ["queues", "Backlog and service level", [["Queue", "queue"], ["Waiting", "waiting", count], ["Escalated", "escalated", count], ["Nobody's", "unassigned", count], ["Late", "late", count], ["Oldest", "oldest_ms", long],
      ["Money", "waiting_minor", inBase], ["Closed", "closed", count], ["In time", "in_time_share", share]]],
    ["rules", "False positives by rule", [["Rule", "rule"], ["Closed", "closed", count], ["False positives", "false_positives", count], ["Share", "false_positive_share", share]]],
    ["bands", "False positives by the model's score", [["Score", "band"], ["Closed", "closed", count], ["False positives", "false_positives", count], ["Share", "false_positive_share", share]]],
    ["days", "By day", [["Day", "day_ms", day], ["Analyst", "analyst"], ["Verdicts", "closed", count]]],
    ["pairs", "Agreement by pair", [["Closed by", "first"], ["Looked again", "second"], ["Alerts", "pairs", count], ["Agreed", "agreed_share", share]]],
    ["disagreements", "Disagreements", [["Alert", "key", key], ["Closed by", "first_by"], ["Said", "first"], ["Looked again", "second_by"], ["Said", "second"]]],
  ];

  /** @param {[name: TeamTable, title: string, columns: Column[]]} table @param {Record<string, Cell>[]} rows */
  function table([name, title, columns], rows) {
    const numeric = (/** @type {Column} */ [, , shown]) => shown && shown !== key && shown !== day ? "number" : null;
    return h("section", { class: "panel scroll", tabindex: 0, "aria-label": title },
      h("div", { class: "row" }, h("h2", {}, title), h("a", { class: "end", href: `/api/team/export/${name}?days=${days}`, download: `team-${name}.csv`, target: "_blank", "aria-label": `${title} as CSV`, "data-key": name }, "CSV")),
      rows.length ? h("table", {}, h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: numeric(column) }, column[0])))),
        h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((column, place) => h(place ? "td" : "th", { scope: place ? null : "row", class: numeric(column) }, (column[2] ?? said)(row[column[1]])))))))
        : empty("Nothing in this time."));
  }

  /** @param {Job<Team>} job */
  function draw(job) {
    const found = job.result;
    if (!found) { asOf.textContent = job.error ?? `Reading the alerts: ${number(job.done)} so far…`; return; }
    asOf.replaceChildren("As of ", time(found.as_of_ms));
    /** @param {Record<string, Cell>[]} rows @param {string} field */
    const sum = (rows, field) => rows.reduce((total, row) => total + Number(row[field]), 0);
    const closed = sum(found.analysts, "closed"), fraud = sum(found.analysts, "fraud"), standing = fraud + sum(found.analysts, "legitimate");
    const late = sum(found.queues, "late"), { agreed_share, kappa, pairs } = found.agreement;
    redraw(tiles, tile("Verdicts", number(closed), `${number(found.analysts.length)} analysts`), tile("Fraud", percent(standing ? fraud / standing : null), "of those that stand"),
      tile("Waiting", number(sum(found.queues, "waiting")), `${number(late)} late, over ${duration(found.sla_ms)}`, late ? "warn" : ""),
      tile("Agreement", percent(agreed_share), pairs ? `${number(pairs)} decided twice; kappa ${number(kappa, 2)}; ${number(found.due)} due` : found.share ? `${number(found.due)} second looks due` : "set console.second_look_share"));
    redraw(tables, TABLES.map((one) => table(one, found[one[0]])));
  }

  api.poll("/team", { days }, draw, { every: EVERY, signal });
}
