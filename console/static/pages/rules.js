// The rule pack: what it is and does, a draft checked as one types, the backtest, and the way to effect.
import * as api from "/static/api.js";
import { backtestsPanel, runPanel, suggestionsPanel, tryOut } from "/static/backtests.js";
import { empty, flat, h, panel, redraw, stylesheet, tile } from "/static/dom.js";
import { number, outcome, percent, time } from "/static/format.js";
import { changesPanel, proposeThresholds } from "/static/policy_changes.js";

/** @type {Record<Role, number>} */
const RANK = { viewer: 0, analyst: 1, lead: 2, admin: 3 };
/** @type {Record<RuleState, string>} */
const TONES = { live: "good", shadow: "warn", draft: "", retired: "" };
/** @type {Record<RuleState, string>} */
const VERBS = { shadow: "Run in shadow", live: "Make live", draft: "Back to draft", retired: "Retire" };
/** @type {Partial<Record<string, string>>} */
const ASKED = { block: "decline", watch: "review", allow: "approve" };
/**
 * @typedef {"rule" | "state" | "severity" | "fired" | "precision"} Sort
 * @typedef {Pick<Rule, "id" | "state" | "when" | "description" | "tags"> & { outcome: string, severity: number | null, rate?: Rate, trial?: string }} Row
 */

/** @type {Record<Sort, (row: Row) => string | number>} */
const SORTS = { rule: (row) => row.id, state: (row) => ["live", "shadow", "draft", "retired"].indexOf(row.state), severity: (row) => -(row.severity ?? 0),
  fired: (row) => -(row.rate?.fired ?? -1), precision: (row) => -(row.rate?.precision ?? -1) };
const TEMPLATE = `rules:
  - id: my-new-rule
    description: What it looks for, and why.
    when: card_declines_1h >= 2 AND tx_amount >= 400
    outcome: review
    severity: 50
    reason: REPEATED_DECLINES
    text: "{billing_amount_minor:money} after {card_declines_1h} refusals in an hour"
    owner: fraud-operations
    state: draft
`;

/** @param {[name: string, value: Child][]} all */
const pairs = (all) => all.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
/** @param {RuleState} name */
const state = (name) => h("span", { class: `badge ${TONES[name]}` }, name);
/** @type {(ms: number, signal: AbortSignal) => Promise<unknown>} */
const wait = (ms, signal) => new Promise((resolve) => { const timer = setTimeout(resolve, ms); signal.addEventListener("abort", () => clearTimeout(timer)); });

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { session, go, announce, signal, path }) {
  await stylesheet("/static/pages/rules.css");
  const may = (/** @type {Role} */ role) => RANK[session.role] >= RANK[role];
  /** @type {Rates | null} */
  let rates = null;
  /** @type {Sort} */
  let sort = "state";
  /** @type {string[] | null} */
  let faults = null;
  const evaluated = { days: 60, maturity: 30 }; // a month of decisions that are old enough

  // Choices above the table.
  const search = h("input", { type: "search", placeholder: "id, tag, field", oninput: () => { drawTable(); } });
  const maturity = h("select", { onchange: ({ target }) => { evaluated.maturity = Number(target.value); rates = null; drawTable(); askRates(); } },
    [[30, "older than 30 days"], [7, "older than 7 days"], [0, "of any age"]].map(([value, text]) => h("option", { value }, text)));
  const tiles = h("div", { class: "tiles" });
  const rows = h("tbody"), summary = h("p", { class: "soft" });
  /** @type {[name: Sort | null, title: string][]} */
  const columns = [["rule", "Rule"], ["state", "State"], [null, "Asks for"], ["severity", "Severity"], ["fired", "Fired"], [null, "Per 1,000"], ["precision", "Precision"], [null, "Only it"]];
  const head = h("tr", {}, columns
    .map(([name, title]) => h("th", { scope: "col", class: ["severity", "fired", "precision", null].includes(name) && title !== "Asks for" ? "number" : null },
      name ? h("button", { class: "quiet", onclick: () => { sort = name; drawTable(); } }, title) : title)));
  const side = h("div", { class: "rules-side stack" });
  const lower = h("div", { class: "stack" });
  const version = h("span", { class: "soft" });
  root.classList.add("stack");
  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, "Rules"), version, h("label", {}, "Find", search), h("label", {}, "Evaluate decisions", maturity),
      may("analyst") && h("span", { class: "end" }, h("button", { class: "primary", onclick: () => go("/rules/new") }, "Write a rule"))),
    tiles,
    h("div", { class: "rules-layout" }, h("div", { class: "stack" }, h("section", { class: "panel scroll", tabindex: 0, "aria-label": "The rule pack" }, h("table", {}, h("thead", {}, head), rows), summary), lower), side));

  let pack = await api.get("/rules");
  draw();
  const askRates = api.poll("/rules/rates", () => ({ days: evaluated.days, maturity_days: evaluated.maturity }), (found) => { rates = found; drawTable(); }, { every: 3_000, signal });
  if (path[0] === "run" && path[1] !== "edit" && path[1]) side.replaceChildren(runPanel(path[1], { announce, signal }));
  else if (path[0] === "new") await drawEditor(TEMPLATE);
  else if (path[0] && path[1] === "edit") await drawEditor(asDraft(await api.get(`/rules/${encodeURIComponent(path[0])}/text`), path[0]));
  else drawRule(path[0]);

  async function load() {
    pack = await api.get("/rules");
    draw();
  }

  function draw() {
    drawTable();
    drawLower();
  }

  function drawTable() {
    const known = new Map((rates?.rules ?? []).map((row) => [row.rule, row]));
    const asked = search.value.toLowerCase();
    /** @type {Row[]} */
    const all = [...pack.rules.map((rule) => ({ ...rule, rate: known.get(rule.id) })), ...onTrial()];
    const shown = all
      .filter((rule) => !asked || [rule.id, rule.when, rule.description, ...rule.tags].join(" ").toLowerCase().includes(asked))
      .sort((a, b) => { const [x, y] = [SORTS[sort](a), SORTS[sort](b)]; return x < y ? -1 : x > y ? 1 : a.id < b.id ? -1 : 1; });
    const decisions = rates?.decisions;
    redraw(rows, shown.map((rule) => h("tr", { class: rule.id === path[0] ? "chosen" : "", onclick: rule.trial ? null : () => go(`/rules/${rule.id}`) },
      h("td", { class: "rule-id" }, rule.trial ?? h("a", { href: `/rules/${rule.id}`, "data-key": rule.id }, rule.id)), h("td", {}, state(rule.state)), h("td", {}, outcome(rule.outcome)),
      h("td", { class: "number" }, number(rule.severity)), h("td", { class: "number" }, number(rule.rate?.fired)),
      h("td", { class: "number" }, rule.rate && decisions ? number((1000 * rule.rate.fired) / decisions, 2) : "–"),
      h("td", { class: "number" }, percent(rule.rate?.precision)), h("td", { class: "number" }, number(rule.rate?.alone)))));
    const count = (/** @type {RuleState} */ name) => number(pack.rules.filter((rule) => rule.state === name).length);
    tiles.replaceChildren(tile("Rules live", count("live")), tile("Rules in shadow", count("shadow")), tile("Drafts", count("draft")), tile("Retired", count("retired")));
    version.textContent = `policy version ${pack.version}`;
    summary.replaceChildren(...said());
  }

  // Lists and thresholds in shadow, as they are recorded: list:NAME, and thresholds:OUTCOME that the score would have asked for.
  function onTrial() {
    return (rates?.rules ?? []).filter((row) => row.rule.includes(":")).map(/** @returns {Row} */ (rate) => {
      const [what, name] = rate.rule.split(":");
      const kind = pack.lists.find((one) => one.name === name)?.kind, asks = (what === "list" ? kind && ASKED[kind] : name) ?? "–";
      return { id: rate.rule, trial: what === "list" ? `list ${name}` : `thresholds: ${name}`, state: "shadow", outcome: asks, severity: null, when: "", description: "", tags: [], rate };
    });
  }

  function said() {
    if (!rates) return ["Loading what the rules found…"];
    const { complete, decisions, mature, first_ms, last_ms } = rates;
    const reading = complete ? "" : "Older decisions are still being read; the figures grow. ";
    if (!decisions) return [reading || "No decisions yet."];
    return [reading, `${number(decisions)} decisions from `, time(first_ms), " to ", time(last_ms), `, ${number(mature)} of them old enough to evaluate. `,
      mature ? "Precision is the share of evaluated hits that is fraud; a decision without a label counts as good." : "None is old enough to evaluate; choose younger ones above."];
  }

  /** @param {string | undefined} id */
  function drawRule(id) {
    const rule = pack.rules.find((one) => one.id === id);
    if (!rule) return side.replaceChildren(panel(id ? "Not found" : "A rule", empty(id ? `The policy has no rule ${id}.` : "Choose a rule to see what it does.")));
    const move = (/** @type {RuleState} */ to) => h("button", { class: to === "live" ? "primary" : to === "retired" ? "danger" : "", onclick: async () => { await promote(rule.id, to, `/rules/${encodeURIComponent(rule.id)}/state`); drawRule(rule.id); } }, VERBS[to]);
    side.replaceChildren(panel(rule.id, h("div", { class: "stack" },
      h("p", {}, rule.description), h("pre", { class: "condition code" }, rule.when),
      h("dl", { class: "pairs" }, pairs([["State", state(rule.state)], ["Asks for", outcome(rule.outcome)], ["Severity", rule.severity], ["Reason", rule.reason], ["In words", rule.text],
        ["Allow-list silences it", rule.suppressible ? "yes" : "no"], ["Cards", rule.rollout === null ? "all" : `${number(rule.rollout, 2)} %`], ["Owner", rule.owner || "–"], ["Tags", rule.tags.join(", ") || "–"]])),
      h("div", { class: "row" }, may("lead") && rule.may_become.map(move), may("analyst") && h("a", { class: "button", href: `/rules/${rule.id}/edit` }, rule.state === "draft" ? "Edit" : "Copy into a draft")),
      may("lead") && ["live", "shadow"].includes(rule.state) && rollout(rule),
      !may("lead") && h("p", { class: "soft" }, "Leads promote rules: draft, then shadow, then live."))));
  }

  /** @param {Rule} rule */
  function rollout(rule) {
    const percent = h("input", { type: "number", min: 0.01, max: 99.99, step: "any", placeholder: "all", value: rule.rollout ?? "" });
    return h("form", { class: "row", "aria-label": "Roll out", onsubmit: async (event) => {
      event.preventDefault();
      try {
        const { proposal } = await api.post(`/rules/${encodeURIComponent(rule.id)}/rollout`, { version: pack.version, percent: percent.value === "" ? null : Number(percent.value) });
        announce(proposal ? `${rule.id}: another lead must approve it.` : `${rule.id} is about ${percent.value === "" ? "all cards" : `${percent.value} % of cards`} now.`, "good");
      } catch (error) { announce(api.messageOf(error), "bad"); }
      await load();
      drawRule(rule.id);
    } }, h("label", {}, "Percent of cards", percent), h("button", {}, "Roll out"));
  }

  /** @param {string} name @param {RuleState} to @param {`/rules/${string}/state`} url */
  async function promote(name, to, url) {
    if (to === "live" && !confirm(`${name} will decide from the next batches on. Make it live?`)) return;
    if (to === "retired" && !confirm(`${name} will find nothing any more and cannot come back. Retire it?`)) return;
    try {
      const { proposal } = await api.post(url, { version: pack.version, state: to });
      announce(proposal ? `${name}: another lead must approve it.` : `${name} is ${to} now.`, "good");
    } catch (error) { announce(api.messageOf(error), "bad"); }
    await load();
  }

  // A rule that decides or was recorded keeps its id for ever, so its successor gets another one.
  /** @param {{ text: string }} written @param {string} id */
  function asDraft({ text }, id) {
    const rule = pack.rules.find((one) => one.id === id);
    if (rule?.state === "draft") return text;
    const stated = /^(\s*-?\s*|.*[{,]\s*)state:\s*\w+/m.test(text) ? text.replace(/state:\s*\w+/, "state: draft") : text.replace(/^( *)- (\{?)/m, (/** @type {string} */ all, /** @type {string} */ indent, /** @type {string} */ flow) => flow ? `${indent}- {state: draft, ` : `${indent}- state: draft\n${indent}  `);
    return stated.replace(id, `${id}-2`);
  }

  /** @param {string} text */
  async function drawEditor(text) {
    const [{ ruleEditor }, known] = await Promise.all([import("/static/rule_editor.js"), api.get("/rules/vocabulary")]);
    if (signal.aborted) return;
    const list = h("ul", { class: "faults", "aria-live": "polite" }, h("li", {}, "Checking…"));
    const editor = ruleEditor({ value: text, label: "The draft, as a YAML rule file", vocabulary: known, onchange: () => { check(); } });
    const save = h("button", { class: "primary", disabled: true, onclick: () => { keep(); } }, "Save the draft");
    const days = h("input", { type: "number", min: 1, max: 400, value: evaluated.days }), age = h("input", { type: "number", min: 0, max: 400, value: evaluated.maturity }), budget = h("input", { type: "number", min: 1, placeholder: "none" });
    const run = h("button", { disabled: true, onclick: () => { replay(); } }, "Run the backtest");
    const result = h("div", { class: "stack" });
    const words = h("details", {}, h("summary", {}, "Fields and functions"));
    words.addEventListener("toggle", () => {
      words.append(h("p", { class: "code" }, known.functions.join(", ")), h("dl", { class: "pairs" }, known.fields.map((field) => [h("dt", { class: "code" }, field.name), h("dd", {}, field.choices.length ? field.choices.join(", ") : field.kind)])));
    }, { once: true });
    side.replaceChildren(panel("A draft", h("div", { class: "stack" }, editor.element, list,
      h("div", { class: "row" }, may("lead") && save, h("a", { class: "button", href: "/rules" }, "Close"), !may("lead") && h("span", { class: "soft" }, "Leads save drafts; try yours below.")), words)),
      panel("Backtest", h("div", { class: "stack" }, h("p", { class: "soft" }, "What the draft would have done if it had been live, by the code that decides."),
        h("div", { class: "row" }, h("label", {}, "Days back", days), h("label", {}, "Evaluate from age (days)", age), h("label", {}, "Reviews a day", budget), run), result)));

    let asked = 0;
    async function check() {
      const mine = ++asked;
      await wait(250, signal);
      if (mine !== asked || signal.aborted) return;
      try {
        const answer = await api.post("/rules/check", { text: editor.value }, { signal });
        if (mine !== asked) return;
        faults = answer.faults;
        editor.showFaults(faults);
        list.replaceChildren(...(faults.length ? faults.map((fault) => h("li", {}, fault)) : [h("li", { class: "fine" }, "No faults.")]));
      } catch (error) {
        if (signal.aborted) return;
        faults = null;
        list.replaceChildren(h("li", {}, api.messageOf(error)));
      }
      save.disabled = run.disabled = !faults || faults.length > 0;
    }
    async function keep() {
      try {
        await api.post("/rules/drafts", { version: pack.version, text: editor.value });
        const id = editor.value.match(/\bid:\s*["']?([a-z0-9-]+)/)?.[1];
        announce("The draft is saved.", "good");
        go(`/rules/${id}`);
      } catch (error) { announce(api.messageOf(error), "bad"); await load(); }
    }
    async function replay() {
      run.disabled = true;
      await tryOut({ text: editor.value, days: Number(days.value), maturity_days: Number(age.value), reviews_per_day: budget.value ? Number(budget.value) : null }, result, { announce, signal });
      run.disabled = !faults || faults.length > 0;
    }
    check();
  }

  function drawLower() {
    const limit = (/** @type {number | null} */ value) => value === null ? "never" : number(value, 4);
    lower.replaceChildren(...flat([
      panel("Thresholds of the model's score", h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["Segment", "Where", "Review from", "Decline from"].map((name, place) => h("th", { scope: "col", class: place > 1 ? "number" : null }, name)))),
        h("tbody", {}, [...pack.thresholds, ...pack.shadow_thresholds].map((one) => h("tr", {}, h("td", {}, one.segment), h("td", { class: "code" }, one.when), h("td", { class: "number" }, limit(one.review)), h("td", { class: "number" }, limit(one.decline))))))),
        may("lead") && proposeThresholds(pack, { announce, done: drawLower })),
      may("analyst") && suggestionsPanel({ pack, may, go, announce, signal, evaluated, done: load }),
      changesPanel({ pack, may, session, go, announce, done: load }),
      may("analyst") && backtestsPanel({ session, may, announce, signal }),
      panel("Lists", pack.lists.length ? h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["List", "Kind", "Of", "State", "Entries"].map((name, place) => h("th", { scope: "col", class: place > 3 ? "number" : null }, name)))),
        h("tbody", {}, pack.lists.map((one) => h("tr", {}, h("td", {}, one.name), h("td", {}, one.kind), h("td", {}, one.of),
          h("td", {}, h("div", { class: "row" }, state(one.state), may("lead") && one.may_become.map((to) => h("button", { class: "quiet", "aria-label": `${VERBS[to]}: ${one.name}`, onclick: () => promote(one.name, to, `/rules/lists/${encodeURIComponent(one.name)}/state`) }, VERBS[to])))),
          h("td", { class: "number" }, number(one.entries))))))) : empty("The policy has no lists."))]));
  }
}
