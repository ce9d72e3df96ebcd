// The audit log: who did what, searched, exported, and whether its chain is whole.
import * as api from "/static/api.js";
import { empty, h, redraw, stylesheet } from "/static/dom.js";
import { number, time, words } from "/static/format.js";

const DAYS = [[1, "last day"], [7, "last 7 days"], [30, "last 30 days"], [365, "last year"]];
const EVERY = 3_000;

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { go, signal, parameters }) {
  await stylesheet("/static/pages/queue.css");
  const given = (/** @type {string} */ name) => parameters.get(name) ?? "";
  const wanted = { by: given("by"), act: given("act"), text: given("text"), days: given("days") };
  const asked = () => ({ by: wanted.by, act: wanted.act, text: wanted.text,
    since_ms: wanted.days ? Date.now() - Number(wanted.days) * 86_400_000 : "" });
  const show = () => go(api.address("/audit", wanted), { replace: true });

  /** @param {string} label @param {"by" | "act" | "text"} name @param {string} placeholder */
  const field = (label, name, placeholder) => h("label", {}, label, h("input", { type: "search", value: wanted[name], maxlength: 100, placeholder,
    onchange: (event) => { wanted[name] = event.target.value.trim(); show(); } }));
  const span = h("label", {}, "When", h("select", { onchange: (event) => { wanted.days = event.target.value; show(); } },
    [["", "ever"], ...DAYS].map(([value, text]) => h("option", { value, selected: wanted.days === String(value) }, text))));
  const rows = h("tbody"), none = empty("Loading…"), chain = h("p", { class: "soft", role: "status" }, "Looking at every line…");
  /** @type {number | null} */
  let next = null;
  const more = h("button", { hidden: true, onclick: () => { load(next); } }, "Earlier lines");
  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, "Audit"), h("a", { class: "button end", href: api.address("/api/audit/export", asked()), download: "audit.csv", target: "_blank" }, "Export as CSV")),
    h("div", { class: "stack" }, chain,
      h("form", { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
        field("User", "by", "ann"), field("Act", "act", "confirm_fraud"), field("Done to", "text", "part of a key, rule or address"), span),
      h("section", { class: "panel scroll", tabindex: 0, "aria-label": "Lines" },
        h("table", {}, h("thead", {}, h("tr", {}, ["Line", "When", "User", "Act", "Done to"].map((name, place) => h("th", { scope: "col", class: place ? null : "number" }, name)))), rows), none, more)));

  /** @param {number | null} before */
  async function load(before) {
    const page = await api.get("/audit", { ...asked(), before }, { signal });
    rows.append(...page.lines.map((line) => h("tr", {}, h("td", { class: "number" }, number(line.number)), h("td", { class: "nowrap" }, time(line.at_ms)),
      h("td", {}, line.by), h("td", {}, words(line.act)), h("td", { class: "code" }, line.what))));
    none.hidden = rows.children.length > 0;
    none.textContent = page.next ? "Nothing found among the newest lines." : "Nothing found.";
    next = page.next;
    more.hidden = next === null;
  }

  /** @param {Gets["/audit/check"]} job */
  function drawChain(job) {
    const found = job.result;
    if (!found) return;
    redraw(chain, h("span", { class: `badge ${found.fault ? "bad" : "good"}` }, found.fault ? "chain broken" : "chain unbroken"),
      ` ${number(found.lines)} lines`, found.fault ? `; first fault: ${found.fault}` : `; head `, !found.fault && h("span", { class: "code" }, found.head));
  }

  api.poll("/audit/check", {}, drawChain, { every: EVERY, signal });
  await load(null);
}
