// The team for its lead: verdicts and times, backlog, false positives, agreement; each table as CSV.
import * as api from "/static/api.js";
import { empty, h, redraw, tile } from "/static/dom.js";
import { duration, money, number, percent, time, words } from "/static/format.js";

const DAYS = [[1, "last day"], [7, "last 7 days"], [30, "last 30 days"], [90, "last 90 days"]];
const EVERY = 3_000;

export async function mount(root, { session, go, signal, parameters }) {
  const days = Number(parameters.get("days")) || 7;
  const span = h("select", { onchange: () => go(`/team?days=${span.value}`, { replace: true }) },
    DAYS.map(([value, text]) => h("option", { value, selected: value === days }, text)));
  const asOf = h("span", { class: "soft end", role: "status" }, "Reading the alerts…");
  const tiles = h("div", { class: "tiles" }), tables = h("div", { class: "stack" });
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Team"), h("label", {}, "Verdicts of the", span), asOf), h("div", { class: "stack" }, tiles, tables));

  const long = (ms) => ms === null ? "–" : duration(ms);
  const inBase = (minor) => money(minor, session.base_currency);
  const key = (value) => h("a", { href: `/case/${value}`, class: "code" }, value.slice(0, 12), "…");

  // Each table: name of its export, title, and columns as [title, field, how it is shown].
  /** @type {[name: string, title: string, columns: [title: string, field: string, shown?: (value: any) => any][]][]} */
  const TABLES = [
    ["analysts", "By analyst", [["Analyst", "analyst"], ["Verdicts", "closed", number], ["Fraud", "fraud", number], ["False positives", "legitimate", number], ["Fraud share", "fraud_share", percent],
      ["Taken back", "taken_back", number], ["Handling, median", "handling_ms", long], ["Measured on", "handled", number], ["Decision to verdict, median", "waiting_ms", long]]],
    ["queues", "Backlog and service level", [["Queue", "queue"], ["Waiting", "waiting", number], ["Escalated", "escalated", number], ["Nobody's", "unassigned", number], ["Late", "late", number], ["Oldest", "oldest_ms", long],
      ["Money", "waiting_minor", inBase], ["Closed", "closed", number], ["In time", "in_time_share", percent]]],
    ["rules", "False positives by rule", [["Rule", "rule"], ["Closed", "closed", number], ["False positives", "false_positives", number], ["Share", "false_positive_share", percent]]],
    ["bands", "False positives by the model's score", [["Score", "band"], ["Closed", "closed", number], ["False positives", "false_positives", number], ["Share", "false_positive_share", percent]]],
    ["days", "By day", [["Day", "day_ms", (ms) => new Date(ms).toISOString().slice(0, 10)], ["Analyst", "analyst"], ["Verdicts", "closed", number]]],
    ["pairs", "Agreement by pair", [["Closed by", "first"], ["Looked again", "second"], ["Alerts", "pairs", number], ["Agreed", "agreed_share", percent]]],
    ["disagreements", "Disagreements", [["Alert", "key", key], ["Closed by", "first_by"], ["Said", "first"], ["Looked again", "second_by"], ["Said", "second"]]],
  ];

  function table([name, title, columns], rows) {
    const numeric = (column) => column[2] && column[2] !== key && column[1] !== "day_ms" ? "number" : null;
    return h("section", { class: "panel scroll", tabindex: 0, "aria-label": title },
      h("div", { class: "row" }, h("h2", {}, title), h("a", { class: "end", href: `/api/team/export/${name}?days=${days}`, download: `team-${name}.csv`, target: "_blank", "aria-label": `${title} as CSV`, "data-key": name }, "CSV")),
      rows.length ? h("table", {}, h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: numeric(column) }, column[0])))),
        h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((column, place) => h(place ? "td" : "th", { scope: place ? null : "row", class: numeric(column) }, column[2] ? column[2](row[column[1]]) : words(row[column[1]])))))))
        : empty("Nothing in this time."));
  }

  function draw(job) {
    const found = job.result;
    if (!found) { asOf.textContent = job.error ?? `Reading the alerts: ${number(job.done)} so far…`; return; }
    asOf.replaceChildren("As of ", time(found.as_of_ms));
    const sum = (rows, field) => rows.reduce((total, row) => total + row[field], 0);
    const closed = sum(found.analysts, "closed"), fraud = sum(found.analysts, "fraud"), standing = fraud + sum(found.analysts, "legitimate");
    const late = sum(found.queues, "late"), { agreed_share, kappa, pairs } = found.agreement;
    redraw(tiles, tile("Verdicts", number(closed), `${number(found.analysts.length)} analysts`), tile("Fraud", percent(standing ? fraud / standing : null), "of those that stand"),
      tile("Waiting", number(sum(found.queues, "waiting")), `${number(late)} late, over ${duration(found.sla_ms)}`, late ? "warn" : ""),
      tile("Agreement", percent(agreed_share), pairs ? `${number(pairs)} decided twice; kappa ${number(kappa, 2)}; ${number(found.due)} due` : found.share ? `${number(found.due)} second looks due` : "set console.second_look_share"));
    redraw(tables, TABLES.map((one) => table(one, found[one[0]])));
  }

  api.poll("/team", { days }, draw, { every: EVERY, signal });
}
