// The queue: alerts that wait, worked with keyboard or mouse. Filters, order and place live in the address.
import * as api from "/static/api.js";
import { empty, h, redraw, stylesheet } from "/static/dom.js";
import { age, channel, country, digits, duration, money, number, outcome, percent, status, time, words } from "/static/format.js";
import { CLOSED, DOES, act, actOnMany } from "/static/alert_work.js";
import { takeAction } from "/static/announce.js";
import { onKeys, takeFocus } from "/static/keys.js";

const KEYS = [["j", "next"], ["k", "previous"], ["Enter", "open case"], ["x", "select"], ["f", "confirm fraud"], ["p", "false positive"], ["e", "escalate"], ["m", "assign to me"], ["u", "undo"]];
const CHANGES = { f: "confirm_fraud", p: "false_positive", e: "escalate", m: "assign" };
const AGES = [15, 60, 240, 1_440, 10_080];
const EVERY = 2_000;

export async function mount(root, { session, go, signal }) {
  await stylesheet("/static/pages/queue.css");
  const mayChange = session.role !== "viewer";
  let page = null, chosen = null, facets = {}, before = []; // cursors of the pages before this one
  let gap = null; // place of the alert that was closed last, while none is chosen: there the next one begins
  const selected = new Map(); // decision key to the alert as it was seen

  const state = () => new URLSearchParams(location.search);
  const isClosed = () => CLOSED.includes(state().get("status"));

  function set(name, value) {
    const now = state();
    if (value === "" || value === null) now.delete(name); else now.set(name, value);
    if (name !== "cursor") { now.delete("cursor"); before = []; selected.clear(); }
    history.replaceState(null, "", now.size ? `/queue?${now}` : "/queue");
    drawFilters();
    ask();
  }

  // Filters
  const filters = h("form", { class: "filters", onsubmit: (event) => event.preventDefault(), "aria-label": "Filters" });
  const choice = (label, name, options, any = "any") => h("label", {}, label, h("select", { "data-key": name, onchange: (event) => set(name, event.target.value) },
    [["", any], ...options].map(([value, text]) => h("option", { value, selected: (state().get(name) ?? "") === value }, text))));
  const field = (label, name, attributes, read = (text) => text, show = (text) => text) => h("label", {}, label,
    h("input", { "data-key": name, value: state().has(name) ? show(state().get(name)) : "", ...attributes, onchange: (event) => set(name, event.target.value === "" ? "" : read(event.target.value)) }));
  const counted = (name, text = (value) => value) => Object.entries(facets[name] ?? {}).map(([value, count]) => [value, `${text(value)} (${number(count)})`]);
  const unit = 10 ** digits(session.base_currency);
  const inMinor = (text) => Math.round(Number(text) * unit), inMajor = (minor) => Number(minor) / unit;

  function drawFilters() {
    const statuses = [["open", "open"], ["escalated", "escalated"], ...CLOSED.map((name) => [name, words(name)])];
    redraw(filters, choice("Status", "status", statuses, "open and escalated"), isClosed() ? [] : [
      choice("Order", "order", [["newest", "newest first"], ["oldest", "oldest first"]], "worth most first"),
      choice("Outcome", "outcome", counted("outcome")),
      choice("Assignee", "assignee", [[session.name, "me"], ["-", "nobody"], ...counted("assignee").filter(([name]) => name !== session.name)], "anyone"),
      field("Score from", "min_score", { type: "number", min: 0, max: 1, step: 0.01, class: "narrow" }),
      field(`Amount from (${session.base_currency})`, "min_minor", { type: "number", min: 0, class: "narrow" }, inMinor, inMajor),
      field("to", "max_minor", { type: "number", min: 0, class: "narrow" }, inMinor, inMajor),
      choice("Country", "country", counted("country", country)), choice("Channel", "channel", counted("channel", channel)),
      choice("Rule", "rule", counted("rule")),
      choice("Age over", "older_than_minutes", AGES.map((minutes) => [String(minutes), duration(minutes * 60_000)])),
      field("Find", "search", { type: "search", placeholder: "transaction, merchant, card", maxlength: 64 }, (text) => text.trim()),
    ], state().size > 0 && h("button", { type: "button", class: "quiet", "data-key": "clear", onclick: () => { history.replaceState(null, "", "/queue"); before = []; selected.clear(); drawFilters(); ask(); } }, "Clear"));
  }

  // The list
  const summary = h("p", { class: "soft summary", role: "status" });
  const bulk = h("div", { class: "bulk row", hidden: true });
  const head = h("tr");
  const rows = h("tbody");
  const none = empty("Loading…");
  const pager = h("div", { class: "row pager" });
  const list = h("section", { class: "panel list", tabindex: 0, "aria-label": "Alerts" }, h("div", { class: "scroll" }, h("table", {}, h("thead", {}, head), rows)), none, pager);

  function drawRow(alert) {
    const { key, transaction_id: id } = alert, waits = Date.now() - alert.decided_ms;
    return h("tr", { class: key === chosen ? "chosen" : "", "aria-current": key === chosen ? "true" : null, onclick: (event) => { if (!event.target.closest("a, input")) { chosen = key; gap = null; draw(); } } },
      mayChange && !isClosed() && h("td", {}, h("input", { type: "checkbox", "data-key": `select ${key}`, "aria-label": `Select ${id}`, checked: selected.has(key), onchange: () => toggle(alert) })),
      h("td", { class: "nowrap" }, isClosed() ? time(alert.decided_ms) : h("span", { class: waits > page.sla_minutes * 60_000 ? "late" : "" }, age(alert.decided_ms), waits > page.sla_minutes * 60_000 && h("span", { class: "badge bad" }, "late"))),
      h("td", { class: "number", title: "The loss that a look is expected to prevent: score × money at risk" }, alert.prevented_minor === undefined ? "–" : money(Math.round(alert.prevented_minor), session.base_currency)),
      h("td", { class: "number" }, alert.score === undefined ? "–" : percent(alert.score)),
      h("td", {}, outcome(alert.outcome), alert.status !== "open" && [" ", status(alert.status)]),
      h("td", { class: "number" }, money(alert.amount_minor, alert.currency)),
      h("td", {}, country(alert.merchant_country), h("div", { class: "soft" }, channel(alert.channel))),
      h("td", {}, h("a", { href: `/case/${key}`, class: "code", "data-key": `open ${key}` }, id), h("div", { class: "soft code" }, alert.merchant_id)),
      h("td", { class: "reasons" }, alert.reasons.slice(0, 3).join("; "), alert.reasons.length > 3 && ` and ${alert.reasons.length - 3} more`),
      h("td", {}, alert.assignee ?? h("span", { class: "soft" }, "nobody")));
  }

  function draw() {
    if (!page) return;
    const focused = list.contains(document.activeElement);
    const columns = [mayChange && !isClosed() && "", isClosed() ? "Decided" : "Age", "Prevents", "Score", "Outcome", "Amount", "Where", "Transaction, merchant", "Reasons", "Assignee"];
    redraw(head, columns.filter((name) => name !== false).map((name) => name === ""
      ? h("th", { scope: "col" }, h("input", { type: "checkbox", "aria-label": "Select all on this page", "data-key": "all", checked: page.alerts.length > 0 && page.alerts.every((alert) => selected.has(alert.key)), onchange: (event) => { for (const alert of page.alerts) event.target.checked ? selected.set(alert.key, alert) : selected.delete(alert.key); draw(); } }))
      : h("th", { scope: "col", class: ["Prevents", "Score", "Amount"].includes(name) ? "number" : "" }, name)));
    redraw(rows, page.alerts.map(drawRow));
    none.hidden = page.alerts.length > 0;
    none.textContent = state().size ? "No alert fits these filters." : page.complete === false ? "Reading the alerts…" : "Nothing waits. Well done.";
    summary.textContent = isClosed() ? "" : [`${number(page.matching)} waiting`, page.complete ? "" : "still reading all alerts",
      page.as_of_ms && Date.now() - page.as_of_ms > 30_000 ? `as of ${duration(Date.now() - page.as_of_ms)} ago` : ""].filter(Boolean).join(" · ");
    redraw(pager, h("button", { "data-key": "back", disabled: !state().has("cursor"), onclick: back }, "← Back"), h("button", { "data-key": "more", disabled: !page.cursor, onclick: more }, "More →"));
    bulk.hidden = selected.size === 0;
    redraw(bulk, h("strong", {}, `${selected.size} selected`), ["assign", "escalate", "confirm_fraud", "false_positive"].map((change) =>
      h("button", { "data-key": change, class: change === "confirm_fraud" ? "danger" : "", onclick: () => changeMany(change) }, DOES[change])),
      h("button", { class: "quiet", "data-key": "none", onclick: () => { selected.clear(); draw(); } }, "Clear selection"));
    if (focused && !list.contains(document.activeElement)) list.focus({ preventScroll: true });
  }

  // An alert that leaves the list by another's hand leaves nothing chosen, so that no key can hit its neighbour.
  function show(data) {
    page = data;
    if (!page.alerts.some((alert) => alert.key === chosen)) chosen = null;
    for (const alert of page.alerts) if (selected.has(alert.key)) selected.set(alert.key, alert);
    draw();
  }

  function query() {
    const wanted = Object.fromEntries(state());
    if (wanted.assignee === "-") wanted.assignee = "";
    return wanted;
  }
  // The empty assignee means nobody, so it must be said; address() leaves other empty values out.
  const path = () => {
    const wanted = query();
    if (isClosed()) return api.address("/alerts/closed", { status: wanted.status, cursor: wanted.cursor });
    const nobody = wanted.assignee === "" && state().has("assignee");
    const url = api.address("/alerts", wanted);
    return nobody ? `${url}${url.includes("?") ? "&" : "?"}assignee=` : url;
  };
  const ask = api.poll(path, {}, show, { every: EVERY, signal, fail: (error) => {
    if (error.status !== 422 && error.status !== 400) return;
    page = { alerts: [], cursor: null, matching: 0, complete: true };
    draw();
    none.textContent = error.message;
  } });
  api.poll("/alerts/facets", {}, (data) => { facets = data; if (!filters.contains(document.activeElement)) drawFilters(); }, { every: 10_000, signal });

  function more() {
    if (!page.cursor) return;
    before.push(state().get("cursor"));
    set("cursor", page.cursor);
    scrollTo(0, 0);
  }
  function back() {
    set("cursor", before.pop() ?? null);
    scrollTo(0, 0);
  }
  function toggle(alert) {
    if (selected.has(alert.key)) selected.delete(alert.key);
    else selected.set(alert.key, alert);
    draw();
  }
  function move(by) {
    const place = gap === null ? page.alerts.findIndex((alert) => alert.key === chosen) : by > 0 ? gap - 1 : gap;
    gap = null;
    if (by > 0 && place === page.alerts.length - 1 && place >= 0) return more();
    chosen = page.alerts[Math.max(0, place + by)]?.key ?? null;
    draw();
    rows.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  }
  // After a verdict nothing is chosen, so that a second tap cannot close the next alert; `j` goes on to it.
  async function changeOne(alert, change) {
    const after = await act(alert, change, { undone: ({ key }) => { chosen = key; gap = null; ask(); } });
    if (after && CLOSED.includes(after.status) && chosen === alert.key) {
      gap = page.alerts.findIndex(({ key }) => key === alert.key);
      chosen = null;
      draw();
    }
    ask();
  }
  async function changeMany(change) {
    const done = await actOnMany([...selected.values()], change, { undone: ask });
    for (const key of done ?? []) selected.delete(key);
    draw();
    list.focus({ preventScroll: true });
    ask();
  }

  onKeys(list, (event) => {
    if (!page) return;
    const alert = page.alerts.find((one) => one.key === chosen);
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
    if (event.key === "u") takeAction();
    if (!alert) return;
    if (event.key === "Enter" && !event.target.closest("a, button")) go(`/case/${chosen}`);
    if (event.key === "x" && mayChange) toggle(alert);
    if (event.key in CHANGES && mayChange && !isClosed()) changeOne(alert, CHANGES[event.key]);
  }, signal);

  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, "Queue"), summary,
      h("span", { class: "keys soft end" }, KEYS.filter(([key]) => mayChange || ["j", "k", "Enter"].includes(key)).map(([key, does]) => h("span", {}, h("kbd", {}, key), ` ${does}`)))),
    filters, bulk,
    list);
  drawFilters();
  takeFocus(list);
}
