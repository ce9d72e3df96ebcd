// The lists that decisions look up, and what is on them. What is searched is in no address: it may be a card's token.
import { note } from "/static/alert_work.js";
import * as api from "/static/api.js";
import { empty, h, panel, redraw, stylesheet } from "/static/dom.js";
import { number, time, timeText, words } from "/static/format.js";

/** @type {Record<OnList["kind"], string>} */
const KINDS = { block: "declines", watch: "asks for review", allow: "silences model and rules", named: "asked by rules" };
const OF = ["card", "customer", "merchant", "terminal", "device", "ip", "bin", "mcc", "merchant_country", "issuer_country", "shipping_address"];
/** @type {Record<OnList["kind"], string>} */
const TONES = { block: "bad", watch: "warn", allow: "good", named: "" };
const AT_ONCE = 100;

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { session, go, announce, signal, path }) {
  await stylesheet("/static/pages/lists.css");
  const mayRead = session.role !== "viewer", mayChange = ["lead", "admin"].includes(session.role);
  const name = path[0] ?? null;
  const overview = h("div", {}, empty("Loading…")), shown = h("div", { class: "stack" });
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Lists")), h("div", { class: "lists-layout" },
    h("div", { class: "stack" }, panel("All lists", overview), mayChange && panel("New list", newList())), shown));

  const askLists = api.poll("/lists", {}, ({ lists }) => {
    redraw(overview, lists.length === 0 ? empty("There is no list yet.") : h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All lists" }, h("table", {},
      h("thead", {}, h("tr", {}, ["List", "Of", "Entries"].map((title) => h("th", { scope: "col", class: title === "Entries" ? "number" : "" }, title)))),
      h("tbody", {}, lists.map((one) => h("tr", {}, h("td", {}, mayRead ? h("a", { href: `/lists/${encodeURIComponent(one.name)}`, "data-key": one.name, "aria-current": one.name === name ? "true" : null }, one.name) : one.name,
        h("div", {}, h("span", { class: `badge ${TONES[one.kind]}` }, one.kind), h("span", { class: "soft" }, one.state === "live" ? ` ${KINDS[one.kind]}` : ` ${one.state}: no effect`))), h("td", {}, words(one.of)), h("td", { class: "number" }, number(one.entries))))))));
  }, { every: 5_000, signal });

  /**
   * @template T
   * @param {() => Promise<T>} send @param {(done: T) => string} said
   */
  async function attempt(send, said) {
    try {
      const done = await send();
      announce(said(done), "good");
      askLists();
      return true;
    } catch (error) {
      announce(api.messageOf(error), "bad");
      return false;
    }
  }

  function newList() {
    const called = h("input", { name: "list", maxlength: 64, required: true, pattern: "[a-z0-9][a-z0-9\\-]*", title: "small letters, digits and -" });
    const kind = h("select", { onchange: ({ target }) => { shadow.disabled = target.value === "named"; } }, Object.keys(KINDS).map((value) => h("option", { value }, value)));
    const shadow = h("input", { type: "checkbox", checked: true }); // a named list has no effect that could be tried
    const of = h("select", {}, OF.map((value) => h("option", { value }, words(value))));
    const why = h("input", { maxlength: 500, required: true });
    return h("form", { class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      const wanted = { name: called.value.trim(), kind: kind.value, of: of.value, why: why.value.trim() };
      const tried = shadow.checked && !shadow.disabled;
      const make = async () => tried ? api.post("/rules/lists", { version: (await api.get("/rules")).version, name: wanted.name, kind: wanted.kind, of: wanted.of }) : api.post("/lists", wanted);
      if (await attempt(make, () => `The list ${wanted.name} is made${tried ? ", in shadow" : ""}.`)) go(`/lists/${encodeURIComponent(wanted.name)}`);
    } }, h("label", {}, "Name", called), h("div", { class: "row" }, h("label", {}, "Does", kind), h("label", {}, "Of", of)), h("label", {}, "Reason", why), h("label", { class: "row" }, shadow, "In shadow first: recorded, without effect"), h("div", {}, h("button", {}, "Make list")));
  }

  if (!mayRead) return void shown.replaceChildren(panel("Entries", empty("Entries show to analysts.")));
  if (!name) return void shown.replaceChildren(panel("Entries", empty("Choose a list.")));

  // The entries of one list.
  const url = /** @type {const} */ (`/lists/${encodeURIComponent(name)}`);
  /** @type {Set<string>} */
  const chosen = new Set();
  /** @type {ListEntry[]} */
  let entries = [];
  let wanted = "";
  const search = h("input", { type: "search", maxlength: 100, placeholder: "part of a value" });
  const found = h("div", {}, empty("Loading…")), history = h("div");

  async function load({ after = "" } = {}) {
    try {
      const page = await api.post(`${url}/search`, { search: wanted, after, limit: AT_ONCE }, { signal });
      entries = after ? [...entries, ...page.entries] : page.entries;
      draw(page);
    } catch (error) {
      if (!signal.aborted) found.replaceChildren(empty(api.messageOf(error)));
    }
  }

  /** @param {ListPage} page */
  function draw(page) {
    const pick = (/** @type {ListEntry} */ entry) => mayChange && h("input", { type: "checkbox", "data-key": `pick ${entry.value}`, "aria-label": `Select ${entry.value}`, checked: chosen.has(entry.value), onchange: (event) => { event.target.checked ? chosen.add(entry.value) : chosen.delete(entry.value); draw(page); } });
    redraw(found, h("p", { class: "soft", role: "status" }, `${number(page.size)} on the list${wanted ? `; shown: those with “${wanted}”` : ""}.`),
      entries.length === 0 ? empty(wanted ? "Nothing on the list contains this." : "Nothing is on the list.") : h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Entries" }, h("table", {},
        h("thead", {}, h("tr", {}, [mayChange && "Select", "Value", "Expires", "Who", "Why"].filter(Boolean).map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, entries.map((entry) => h("tr", {}, mayChange && h("td", {}, pick(entry)), h("td", { class: `code ${entry.expired ? "expired" : ""}` }, entry.value), h("td", {}, entry.expires ? timeText(Date.parse(entry.expires)) : "never", entry.expired && h("div", { class: "soft" }, "expired")),
          h("td", {}, entry.by, entry.by !== "policy" && h("div", { class: "soft" }, time(Date.parse(entry.at)))), h("td", {}, entry.why, entry.note && h("div", { class: "soft" }, entry.note))))))),
      h("div", { class: "row" }, page.next && h("button", { "data-key": "more", onclick: () => load({ after: page.next ?? "" }) }, "More"),
        mayChange && chosen.size > 0 && h("button", { class: "danger", "data-key": "remove", onclick: takeOff }, `Take ${number(chosen.size)} off`)));
  }

  /** @param {boolean} done */
  async function after(done) {
    if (!done) return;
    chosen.clear();
    await Promise.all([load(), drawHistory()]);
  }
  async function takeOff() {
    const why = await note(`Take ${number(chosen.size)} off ${name}`, "Take off", "Reason", true);
    if (why) after(await attempt(() => api.post(`${url}/removals`, { values: [...chosen], why }), (done) => `${number(done.removed)} taken off.`));
  }

  function addForm() {
    const value = h("input", { maxlength: 100, required: true, class: "code" }), expires = h("input", { type: "date" });
    const about = h("input", { maxlength: 500 }), why = h("input", { maxlength: 500, required: true });
    const form = h("form", { class: "row", "aria-label": "Add an entry", onsubmit: async (event) => {
      event.preventDefault();
      const entry = { value: value.value.trim(), expires: expires.value || null, note: about.value.trim() };
      const done = await attempt(() => api.post(`${url}/entries`, { entries: [entry], why: why.value.trim() }), ({ added }) => (added ? "Added; the next decisions know it." : "Replaced; the next decisions know it."));
      if (done) form.reset();
      after(done);
    } }, h("label", {}, "Value", value), h("label", {}, "Until the end of (UTC)", expires), h("label", {}, "Note", about), h("label", {}, "Reason", why), h("button", { class: "primary" }, "Add"));
    return form;
  }

  function importForm() {
    const file = h("input", { type: "file", accept: ".csv,text/csv", required: true }), why = h("input", { maxlength: 500, required: true }), replace = h("input", { type: "checkbox" });
    const form = h("form", { class: "row", "aria-label": "Import", onsubmit: async (event) => {
      event.preventDefault();
      const text = await file.files?.[0]?.text() ?? "";
      const done = await attempt(() => api.post(`${url}/imports`, { text, why: why.value.trim(), replace: replace.checked }, { timeout: 60_000 }),
        (said) => `${number(said.added)} added, ${number(said.replaced)} replaced, ${number(said.removed)} taken off.`);
      if (done) form.reset();
      after(done);
    } }, h("label", {}, "CSV: value, expires, note", file), h("label", {}, "Reason", why), h("label", {}, "Take off the others", replace), h("button", {}, "Import"));
    return form;
  }

  async function drawHistory() {
    try {
      const { changes } = await api.get(`${url}/history`, { limit: 20 }, { signal });
      redraw(history, changes.length === 0 ? empty("The store has no change of it; its entries are the policy's.") : h("ol", { class: "history" }, changes.map((change) =>
        h("li", {}, h("strong", {}, change.by), ` ${[change.added ? `put ${number(change.added)} on` : "", change.removed ? `took ${change.removed === "all" ? "all" : number(change.removed)} off` : ""].filter(Boolean).join(", ") || "made it"} `, h("span", { class: "soft" }, time(Date.parse(change.at))), change.why && h("blockquote", {}, change.why)))));
    } catch (error) {
      if (!signal.aborted) history.replaceChildren(empty(api.messageOf(error)));
    }
  }

  async function removeList() {
    const why = await note(`Delete the list ${name}`, "Delete", "Reason", true);
    if (why && await attempt(() => api.remove(api.address(url, { why })), () => `The list ${name} is gone from the store.`)) go("/lists");
  }

  shown.replaceChildren(
    panel(name, h("form", { class: "row", role: "search", onsubmit: (event) => { event.preventDefault(); wanted = search.value.trim(); chosen.clear(); load(); } }, h("label", {}, "Find", search), h("button", {}, "Find"),
      h("a", { class: "button", href: `/api${url}/export`, download: `${name}.csv`, target: "_blank" }, "Export CSV"), mayChange && h("button", { type: "button", class: "quiet", onclick: removeList }, "Delete list")), found),
    ...(mayChange ? [panel("Add", addForm(), h("details", {}, h("summary", {}, "Import CSV"), importForm()))] : []), panel("Changes", history));
  await Promise.all([load(), drawHistory()]);
}
