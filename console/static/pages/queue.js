// The queue: cases whose alerts wait, worked with keyboard or mouse. Filters, order and place live in the address.
import * as api from "/static/api.js";
import { empty, h, redraw, stylesheet } from "/static/dom.js";
import { age, channel, country, digits, duration, money, number, outcome, percent, status, time, words } from "/static/format.js";
import { CLOSED, DOES, SNOOZES, act, actOnMany, changeMany, choosing, doing, note, openNext } from "/static/alert_work.js";
import { takeAction } from "/static/announce.js";
import { keyHint, onKeys, takeFocus } from "/static/keys.js";

/** @type {[Action, string][]} */
const CHANGES = [["select", "select"], ["confirm_fraud", "confirm fraud"], ["false_positive", "false positive"], ["escalate", "escalate"], ["assign", "assign to me"], ["undo", "undo"], ["next_for_me", "next for me"]];
/** @type {("assign" | "escalate" | "confirm_fraud" | "false_positive")[]} */
const OF_MANY = ["assign", "escalate", "confirm_fraud", "false_positive"];
const AGES = [15, 60, 240, 1_440, 10_080];
const EVERY = 2_000;

/**
 * @typedef {{ cases: Case[], cursor: string | null, sla_minutes: number } & Partial<Omit<Cases, "cases">>} Page
 * @typedef {{ query: string, chosen: string | null, ticked: [name: string, keys: string[]][], top: number }} Remembered
 */

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { session, go, signal }) {
  await stylesheet("/static/pages/queue.css");
  const mayChange = session.role !== "viewer";
  /** @type {Page | null} */
  let page = null;
  /** @type {string | null} */
  let chosen = null;
  /** @type {Partial<Facets>} */
  let facets = {};
  /** @type {(string | null)[]} */
  let before = []; // cursors of the pages before this one
  /** @type {number | null} */
  let gap = null; // place of the alert that was closed last, while none is chosen: there the next one begins
  /** @type {Map<string, Case>} */
  const selected = new Map(); // name of a case to the case as it was seen
  /** @type {string[]} */
  let colleagues = [];
  let kept = recalled(); // what this tab had chosen and ticked under the same filters before it left the page

  const state = () => new URLSearchParams(location.search);
  const isClosed = () => CLOSED.includes(state().get("status") ?? "");

  /** @param {string} name @param {string | number | null} value */
  function set(name, value) {
    const now = state();
    if (value === "" || value === null) now.delete(name); else now.set(name, String(value));
    if (name !== "cursor") { now.delete("cursor"); before = []; selected.clear(); }
    showQuery(now.size ? `?${now}` : "");
  }

  /** @param {string} query */
  function showQuery(query) {
    history.replaceState(null, "", `/queue${query}`);
    drawFilters();
    ask();
  }

  /** @returns {Remembered | null} */
  function recalled() {
    try {
      /** @type {Remembered | null} */
      const found = JSON.parse(sessionStorage.getItem("queue page") ?? "null");
      return found?.query === location.search ? found : null;
    } catch {
      return null;
    }
  }
  function remember() {
    if (signal.aborted || kept) return;
    sessionStorage.setItem("queue", location.search);
    const ticked = [...selected].map(([name, of]) => [name, of.waiting.map((alert) => alert.key)]);
    sessionStorage.setItem("queue page", JSON.stringify({ query: location.search, chosen, ticked, top: scrollY }));
  }
  addEventListener("scroll", remember, { signal, passive: true });

  // Views: filters and order under a name, in this browser; the address carries them to others. What is typed into Find is left out.
  const views = () => /** @type {Record<string, string>} */ (JSON.parse(localStorage.getItem("views") ?? "{}"));
  const viewQuery = () => { const now = state(); for (const name of ["cursor", "search"]) now.delete(name); return now.size ? `?${now}` : ""; };
  async function saveView() {
    const name = await note("Save view", "Save", "Name", true);
    if (!name) return;
    localStorage.setItem("views", JSON.stringify({ ...views(), [name.slice(0, 40)]: viewQuery() }));
    drawFilters();
  }
  /** @param {string} name */
  function dropView(name) {
    const kept = views();
    delete kept[name];
    localStorage.setItem("views", JSON.stringify(kept));
    drawFilters();
  }

  // Filters
  const filters = h("form", { class: "filters", onsubmit: (event) => event.preventDefault(), "aria-label": "Filters" });
  /** @param {string} label @param {string} name @param {[value: string, text: string][]} options @param {string} [any] */
  const choice = (label, name, options, any = "any") => h("label", {}, label, h("select", { "data-key": name, onchange: (event) => set(name, event.target.value) },
    /** @type {[string, string][]} */ ([["", any], ...options]).map(([value, text]) => h("option", { value, selected: (state().get(name) ?? "") === value }, text))));
  /**
   * @param {string} label @param {string} name @param {Attributes<HTMLInputElement>} attributes
   * @param {(text: string) => string | number} [read] @param {(kept: string) => string | number} [show]
   */
  const field = (label, name, attributes, read = (text) => text, show = (text) => text) => h("label", {}, label,
    h("input", { "data-key": name, value: show(state().get(name) ?? ""), ...attributes, onchange: ({ target }) => set(name, target.value === "" ? "" : read(target.value)) }));
  /** @param {keyof Facets} name @param {(value: string) => string} [text] @returns {[value: string, text: string][]} */
  const counted = (name, text = (value) => value) => Object.entries(facets[name] ?? {}).map(([value, count]) => [value, `${text(value)} (${number(count)})`]);
  const unit = 10 ** digits(session.base_currency);
  const inMinor = (/** @type {string} */ text) => Math.round(Number(text) * unit), inMajor = (/** @type {string} */ minor) => minor === "" ? "" : Number(minor) / unit;

  function drawFilters() {
    const view = viewed();
    /** @type {[string, string][]} */
    const statuses = [["open", "open"], ["escalated", "escalated"], ...CLOSED.map(/** @returns {[string, string]} */ (name) => [name, words(name)])];
    redraw(filters, choice("Status", "status", statuses, "open and escalated"), isClosed() ? [] : [
      choice("Order", "order", [["newest", "newest first"], ["oldest", "oldest first"]], "worth most first"),
      choice("Outcome", "outcome", counted("outcome")),
      choice("Assignee", "assignee", [[session.name, "me"], ["-", "nobody"], ...counted("assignee").filter(([name]) => name !== session.name)], "anyone"),
      field("Score from", "min_score", { type: "number", min: 0, max: 1, step: 0.01, class: "narrow" }),
      field(`Amount from (${session.base_currency})`, "min_minor", { type: "number", min: 0, class: "narrow" }, inMinor, inMajor),
      field("to", "max_minor", { type: "number", min: 0, class: "narrow" }, inMinor, inMajor),
      choice("Country", "country", counted("country", country)), choice("Channel", "channel", counted("channel", channel)),
      choice("Rule", "rule", counted("rule")), choice("Tag", "tag", counted("tag")), choice("Snoozed", "snoozed", [["true", "snoozed"]], "not snoozed"),
      choice("Age over", "older_than_minutes", AGES.map(/** @returns {[string, string]} */ (minutes) => [String(minutes), duration(minutes * 60_000)])),
      field("Find", "search", { type: "search", placeholder: "transaction, merchant, card", maxlength: 64 }, (text) => text.trim()),
    ], state().size > 0 && h("button", { type: "button", class: "quiet", "data-key": "clear", onclick: () => openView("") }, "Clear"),
    Object.keys(views()).length > 0 && h("label", {}, "View", h("select", { "data-key": "view", onchange: (event) => event.target.value && openView(views()[event.target.value]) },
      [["", "–"], ...Object.keys(views()).map((name) => [name, name])].map(([value, text]) => h("option", { value, selected: views()[value] === viewQuery() }, text)))),
    view ? h("button", { type: "button", class: "quiet", "data-key": "drop view", onclick: () => dropView(view) }, "Forget view")
      : viewQuery() && h("button", { type: "button", class: "quiet", "data-key": "save view", onclick: saveView }, "Save view"));
  }
  const viewed = () => Object.keys(views()).find((name) => views()[name] === viewQuery());

  /** @param {string} query */
  function openView(query) {
    before = [];
    selected.clear();
    showQuery(query);
  }

  // The list
  const summary = h("p", { class: "soft summary", role: "status" });
  const bulk = h("div", { class: "bulk row", hidden: true });
  const head = h("tr");
  const rows = h("tbody");
  const none = empty("Loading…");
  const pager = h("div", { class: "row pager" });
  const list = h("section", { class: "panel list", tabindex: 0, "aria-label": "Cases" }, h("div", { class: "scroll" }, h("table", {}, h("thead", {}, head), rows)), none, pager);

  const count = (/** @type {Case} */ of) => of.alerts === 1 ? "" : `${number(of.alerts)} alerts`;

  /** @param {Case} of @param {number} slaMinutes */
  function drawRow(of, slaMinutes) {
    const { case: name, lead, waiting } = of, waits = Date.now() - of.oldest_ms, several = of.alerts > 1;
    const late = waits > slaMinutes * 60_000, newest = waiting[0];
    const statuses = [...new Set(waiting.map((alert) => alert.status))].filter((one) => one !== "open");
    return h("tr", { class: name === chosen ? "chosen" : "", "aria-current": name === chosen ? "true" : null, onclick: (event) => { if (!event.target.closest("a, input")) { chosen = name; gap = null; draw(); } } },
      mayChange && !isClosed() && h("td", {}, h("input", { type: "checkbox", "data-key": `select ${name}`, "aria-label": several ? `Select ${count(of)} with ${lead.transaction_id}` : `Select ${lead.transaction_id}`, checked: selected.has(name), onchange: () => toggle(of) })),
      h("td", { class: "nowrap" }, isClosed() ? time(of.newest_ms) : [h("span", { class: late ? "late" : "" }, age(of.oldest_ms), late && h("span", { class: "badge bad" }, "late")), several && h("div", { class: "soft" }, "newest ", age(of.newest_ms))]),
      h("td", { class: "number", title: "The loss that a look is expected to prevent: score × money at risk" }, of.prevented_minor === undefined ? "–" : money(Math.round(of.prevented_minor), session.base_currency)),
      h("td", { class: "number" }, lead.score === undefined ? "–" : percent(lead.score)),
      h("td", {}, outcome(lead.outcome), statuses.map((one) => [" ", status(one)])),
      h("td", { class: "number" }, several ? [money(of.billing_minor, session.base_currency), h("div", { class: "soft" }, "together")] : money(lead.amount_minor, lead.currency)),
      h("td", { class: "nowrap" }, country(lead.merchant_country), h("div", { class: "soft" }, channel(lead.channel))),
      h("td", {}, h("a", { href: `/case/${lead.key}`, class: "code", "data-key": `open ${name}` }, lead.transaction_id), several && [" ", h("span", { class: "badge" }, count(of))], h("div", { class: "soft code" }, lead.merchant_id)),
      h("td", { class: "reasons" }, newest.reasons.slice(0, 3).join("; "), newest.reasons.length > 3 && ` and ${newest.reasons.length - 3} more`),
      h("td", {}, of.assignees.length ? of.assignees.join(", ") : h("span", { class: "soft" }, "nobody")));
  }

  function draw() {
    if (!page) return;
    const { cases, sla_minutes: slaMinutes } = page, focused = list.contains(document.activeElement);
    const columns = [...(mayChange && !isClosed() ? [""] : []), isClosed() ? "Decided" : "Age", "Prevents", "Score", "Outcome", "Amount", "Where", "Transaction, merchant", "Reasons", "Assignee"];
    redraw(head, columns.map((name) => name === ""
      ? h("th", { scope: "col" }, h("input", { type: "checkbox", "aria-label": "Select all on this page", "data-key": "all", checked: cases.length > 0 && cases.every((of) => selected.has(of.case)), onchange: (event) => { for (const of of cases) event.target.checked ? selected.set(of.case, of) : selected.delete(of.case); draw(); } }))
      : h("th", { scope: "col", class: ["Prevents", "Score", "Amount"].includes(name) ? "number" : "" }, name)));
    redraw(rows, cases.map((of) => drawRow(of, slaMinutes)));
    none.hidden = cases.length > 0;
    none.textContent = state().size ? "No alert fits these filters." : page.complete === false ? "Reading the alerts…" : "Nothing waits. Well done.";
    summary.textContent = isClosed() ? "" : [`${number(page.matching)} cases with ${number(page.alerts)} alerts waiting`, page.complete ? "" : "still reading all alerts",
      page.as_of_ms && Date.now() - page.as_of_ms > 30_000 ? `as of ${duration(Date.now() - page.as_of_ms)} ago` : ""].filter(Boolean).join(" · ");
    redraw(pager, h("button", { "data-key": "back", disabled: !state().has("cursor"), onclick: back }, "← Back"), h("button", { "data-key": "more", disabled: !page.cursor, onclick: more }, "More →"));
    bulk.hidden = selected.size === 0;
    if (!choosing(bulk)) {redraw(bulk, h("strong", {}, selectedText()), OF_MANY.map((change) =>
      h("button", { "data-key": change, class: change === "confirm_fraud" ? "danger" : "", onclick: () => changeSelected(change) }, DOES[change])),
      colleagues.length > 0 && doing("Assign to…", colleagues.map(/** @returns {[string, string]} */ (name) => [name, name]), (to) => changeSelected("assign", { to }), "assign to"),
      doing("Snooze…", SNOOZES, (minutes) => changeSelected("snooze", { minutes: Number(minutes) }), "snooze"),
      h("button", { class: "quiet", "data-key": "none", onclick: () => { selected.clear(); draw(); } }, "Clear selection"));}
    if (focused && !list.contains(document.activeElement)) list.focus({ preventScroll: true });
    document.title = isClosed() ? "Queue · Fraud console" : `(${number(page.matching)}) Queue · Fraud console`;
    remember();
  }

  const alertsOf = (/** @type {Case[]} */ cases) => cases.flatMap((of) => of.waiting);
  const selectedText = () => {
    const alerts = alertsOf([...selected.values()]).length;
    return `${number(selected.size)} selected${alerts > selected.size ? `, with ${number(alerts)} alerts` : ""}`;
  };

  // A closed alert stands for itself, as a case of one.
  /** @param {Alert} alert @returns {Case} */
  const alone = (alert) => ({ case: alert.key, lead: alert, waiting: [alert], alerts: 1, billing_minor: alert.billing_amount_minor, oldest_ms: alert.decided_ms, newest_ms: alert.decided_ms, assignees: alert.assignee ? [alert.assignee] : [] });

  // A case that leaves the list by another's hand leaves nothing chosen, so that no key can hit its neighbour.
  /** @param {Cases | ClosedAlerts} data */
  function show(data) {
    page = "cases" in data ? data : { cursor: data.cursor, sla_minutes: data.sla_minutes, cases: data.alerts.map(alone) };
    if (kept) restore(page.cases, kept);
    kept = null;
    if (!page.cases.some((of) => of.case === chosen)) chosen = null;
    for (const of of page.cases) {
      const before = selected.get(of.case);
      if (before) selected.set(of.case, joined(before, of));
    }
    draw();
  }

  // Of what was ticked before, what is still on the page, with the alerts that were seen then.
  /** @param {Case[]} cases @param {Remembered} remembered */
  function restore(cases, remembered) {
    chosen = remembered.chosen;
    const seen = new Map(remembered.ticked);
    for (const of of cases) {
      const keys = seen.get(of.case);
      if (keys) selected.set(of.case, { ...of, waiting: of.waiting.filter((alert) => keys.includes(alert.key)) });
    }
    requestAnimationFrame(() => scrollTo(0, remembered.top));
  }

  // Of a selected case the alerts that were there when it was selected, as they stand now: what joins later was not seen.
  /** @param {Case} before @param {Case} now */
  function joined(before, now) {
    const seen = new Set(before.waiting.map((alert) => alert.key));
    return { ...now, waiting: now.waiting.filter((alert) => seen.has(alert.key)) };
  }

  function query() {
    /** @type {Record<string, string>} */
    const wanted = Object.fromEntries(state());
    if (wanted.assignee === "-") wanted.assignee = "";
    return wanted;
  }
  // The empty assignee means nobody, so it must be said; address() leaves other empty values out.
  const path = () => {
    const wanted = query();
    if (isClosed()) return api.address("/alerts/closed", { status: wanted.status, cursor: wanted.cursor });
    const nobody = wanted.assignee === "" && state().has("assignee");
    const url = api.address("/alerts/cases", wanted);
    return nobody ? `${url}${url.includes("?") ? "&" : "?"}assignee=` : url;
  };
  const ask = api.poll(path, {}, (data) => show(/** @type {Cases | ClosedAlerts} */ (data)), { every: EVERY, signal, fail: (error) => {
    if (!(error instanceof api.ApiError) || ![400, 422].includes(error.status)) return;
    page = { cases: [], cursor: null, matching: 0, alerts: 0, complete: true, sla_minutes: 0 };
    draw();
    none.textContent = api.messageOf(error);
  } });
  api.poll("/alerts/facets", {}, (data) => { facets = data; if (!filters.contains(document.activeElement)) drawFilters(); }, { every: 10_000, signal });

  function more() {
    if (!page?.cursor) return;
    before.push(state().get("cursor"));
    set("cursor", page.cursor);
    scrollTo(0, 0);
  }
  function back() {
    set("cursor", before.pop() ?? null);
    scrollTo(0, 0);
  }
  /** @param {Case} of */
  function toggle(of) {
    if (selected.has(of.case)) selected.delete(of.case);
    else selected.set(of.case, of);
    draw();
  }
  /** @param {1 | -1} by */
  function move(by) {
    if (!page) return;
    const place = gap === null ? page.cases.findIndex((of) => of.case === chosen) : by > 0 ? gap - 1 : gap;
    gap = null;
    if (by > 0 && place === page.cases.length - 1 && place >= 0) return more();
    chosen = page.cases[Math.max(0, place + by)]?.case ?? null;
    draw();
    rows.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  }
  // Once alerts are closed nothing is chosen, so that a second tap cannot close those of the next case; `j` goes on to it.
  /** @param {Case} of @param {Change} change */
  async function changeOne(of, change) {
    const undone = () => { chosen = of.case; gap = null; ask(); };
    const done = of.waiting.length > 1 ? await changeMany(of.waiting, change, null, undone) : (await act(of.lead, change, { undone })) !== null;
    if (done && ["confirm_fraud", "false_positive"].includes(change) && chosen === of.case) {
      gap = page?.cases.findIndex((one) => one.case === of.case) ?? null;
      chosen = null;
      draw();
    }
    ask();
  }
  /** @param {Change} change @param {ChangeDetails} [details] */
  async function changeSelected(change, details = {}) {
    const cases = [...selected.values()];
    const done = await actOnMany(alertsOf(cases), change, { undone: ask, ...details });
    const gone = new Set(done ?? []);
    for (const of of cases) if (of.waiting.every((alert) => gone.has(alert.key))) selected.delete(of.case);
    draw();
    list.focus({ preventScroll: true });
    ask();
  }

  /** @type {(does: (of: Case, event: KeyboardEvent) => unknown) => (event: KeyboardEvent) => void} */
  const withChosen = (does) => (event) => {
    const of = page?.cases.find((one) => one.case === chosen);
    if (of) does(of, event);
  };
  const closing = (/** @type {Change} */ change) => withChosen((of) => { if (!isClosed()) changeOne(of, change); });
  onKeys(list, {
    next: () => move(1), previous: () => move(-1),
    open: withChosen((of, { target }) => { if (target instanceof Element && !target.closest("a, button")) go(`/case/${of.lead.key}`); }),
    ...(mayChange && { undo: takeAction, next_for_me: () => openNext(session, go), select: withChosen(toggle),
      confirm_fraud: closing("confirm_fraud"), false_positive: closing("false_positive"), escalate: closing("escalate"), assign: closing("assign") }),
  }, signal);

  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, "Queue"), summary, mayChange && h("button", { onclick: () => openNext(session, go) }, "Next for me →"),
      h("span", { class: "keys soft end" }, keyHint("next", "next"), keyHint("previous", "previous"), h("span", {}, h("kbd", {}, "Enter"), " open case"),
        mayChange && CHANGES.map(([action, does]) => keyHint(action, does)), keyHint("shortcuts", "all keys"))),
    filters, bulk,
    list);
  drawFilters();
  if (mayChange) api.get("/alerts/colleagues", {}, { signal }).then((names) => { colleagues = names; if (page) draw(); }, () => {});
  takeFocus(list);
}
