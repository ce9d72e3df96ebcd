// A case: one alert and what surrounds it. Its parts load beside each other.
import { drawActs } from "/static/acts.js";
import * as api from "/static/api.js";
import { CLOSED, DOES, FRAUD_TYPES, SNOOZES, act, actOnMany, changeText, choosing, doing, note, openNext } from "/static/alert_work.js";
import { announce, takeAction } from "/static/announce.js";
import { barChart, lineChart, scatterChart } from "/static/chart.js";
import { empty, h, linked, panel, redraw, stylesheet } from "/static/dom.js";
import { age, channel, country, duration, money, number, outcome, percent, shortMoney, status, time, timeText, words } from "/static/format.js";
import { joined as joinedGraph, linkGraph, nodeText } from "/static/graph.js";
import { keyHint, onKeys, takeFocus } from "/static/keys.js";
import { worldMap } from "/static/map.js";

/** @type {Record<Missing, string>} */
const MISSING = {
  rules: "Rules alone decided; no model scored this payment.",
  archive: "The decision is not in the console's index of the archive yet, or no longer.",
  model: "The model version that scored this payment is not at hand here.",
  policy: "The policy version that decided this payment is not at hand here.",
  differs: "The same model and policy decide this payment otherwise now; another version of features or of an entry of a list decided then.",
};
/** @type {("confirm_fraud" | "false_positive" | "escalate" | "assign")[]} */
const CHANGES = ["confirm_fraud", "false_positive", "escalate", "assign"];
/** @type {Partial<Record<string, Tone>>} */
const TONES = { decline: "bad", review: "warn", approve: 1 };

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { session, go, signal, path }) {
  await stylesheet("/static/pages/case.css");
  const key = path[0];
  if (!key) return mountSearch(root, { go, signal });
  const asked = { key };
  const mayChange = session.role !== "viewer";
  const base = session.base_currency;
  /** @type {Alert | null} */
  let alert = null;

  const head = h("div", { class: "case-head", tabindex: -1, role: "group", "aria-label": "Alert and what to do" });
  const part_ = () => h("div", {}, empty("Loading…"));
  const parts = { alerts: part_(), facts: part_(), why: part_(), timeline: part_(), map: part_(), merchant: part_(), linked: part_(), work: part_(), acts: part_(), links: part_() };
  root.replaceChildren(head, h("div", { class: "case" },
    h("div", { class: "stack" }, panel("Case", parts.alerts), panel("Reasons", parts.why), panel("Card", parts.timeline), h("div", { class: "grid" }, panel("Places", parts.map), panel("Merchant", parts.merchant)), panel("Links", parts.links), panel("Linked cases", parts.linked)),
    h("div", { class: "stack" }, panel("Work", parts.work), mayChange && panel("Act", parts.acts), panel("Transaction", parts.facts))));

  // The alert, followed: another analyst's change shows within seconds.
  const first = /** @type {PromiseWithResolvers<Alert>} */ (Promise.withResolvers());
  const ask = api.poll("/cases/one", asked, (data) => { show(data.alert, data.features); first.resolve(data.alert); }, { every: 3_000, signal, fail: (error) => { if (!alert) first.reject(error); } });

  /** @param {Alert} now @param {Gets["/cases/one"]["features"]} [features] */
  function show(now, features = []) {
    const isNew = alert === null, focused = head.contains(document.activeElement);
    if (alert && now.version < alert.version) return; // an answer from before a change that is known
    alert = now;
    if (!choosing(head)) {redraw(head, h("div", { class: "head" }, h("a", { href: `/queue${sessionStorage.getItem("queue") ?? ""}`, class: "button", "data-key": "queue" }, "← Queue"), h("h1", {}, money(alert.amount_minor, alert.currency), " ", h("span", { class: "soft" }, `at ${alert.merchant_id}`)),
      outcome(alert.outcome), status(alert.status), alert.fraud_type && h("span", { class: "badge bad" }, words(alert.fraud_type)), alert.snoozed_until_ms && h("span", { class: "badge warn" }, `snoozed until ${timeText(alert.snoozed_until_ms)}`),
      (alert.tags ?? []).map((tag) => h("a", { class: "badge", href: `/queue?tag=${tag}` }, tag)), h("span", { class: "end soft" }, alert.assignee ? `${alert.assignee} works on it` : "nobody works on it")),
      mayChange && actions(alert));}
    if (focused && !head.contains(document.activeElement)) head.focus({ preventScroll: true });
    drawWork(alert);
    if (isNew) { drawFacts(alert); drawWhy(alert, features); }
  }

  /** @param {Alert} alert */
  function actions(alert) {
    const next = h("button", { class: "end", "data-key": "next", onclick: () => openNext(session, go, key) }, "Next for me →");
    const tags = h("button", { "data-key": "tags", onclick: () => { askTags(alert); } }, DOES.tag);
    if (CLOSED.includes(alert.status)) {return h("div", { class: "row actions" }, h("button", { "data-key": "reopen", onclick: () => { reopen(); } }, DOES.reopen), tags, next,
      h("span", { class: "soft keys" }, keyHint("undo", "undo, for some seconds")));}
    /** @param {Change} change @param {string} [kind] */
    const button = (change, kind = "") => h("button", { class: kind, "data-key": change, disabled: change === "escalate" && alert.status === "escalated", onclick: () => { change_(change); } }, DOES[change]);
    const others = colleagues.filter((name) => name !== session.name && name !== alert.assignee);
    return h("div", { class: "row actions" }, button("confirm_fraud", "danger"), doing("Fraud of type…", FRAUD_TYPES.map(/** @returns {[string, string]} */ (type) => [type, words(type)]), (type) => change_("confirm_fraud", null, { fraud_type: type }), "fraud type"), button("false_positive"), button("escalate"),
      alert.assignee === session.name ? button("release") : button("assign"), others.length > 0 && doing("Assign to…", others.map(/** @returns {[string, string]} */ (name) => [name, name]), (to) => change_("assign", null, { to }), "assign to"),
      doing("Snooze…", SNOOZES, (minutes) => change_("snooze", null, { minutes: Number(minutes) }), "snooze"), tags, next, h("span", { class: "soft keys" }, CHANGES.map((change) => keyHint(change))));
  }

  /** @type {string[]} */
  let colleagues = [];
  /** @param {Alert} alert */
  async function askTags(alert) {
    const tags = await note("Tags", "Save", "Tags, with spaces between: small letters, digits and -", false, h("p", { class: "soft" }, `Now: ${(alert.tags ?? []).join(" ") || "none"}`));
    if (tags !== null) change_("tag", null, { tags: tags.toLowerCase().split(/[\s,]+/).filter(Boolean) });
  }

  async function reopen() {
    const reason = await note("Reopen", DOES.reopen, "Reason", true);
    if (reason) change_("reopen", reason);
  }

  /** @param {Change} change @param {string | null} [text] @param {ChangeDetails} [details] */
  async function change_(change, text = null, details = {}) {
    if (!alert) return false;
    const after = await act(alert, change, { text, undone: (back) => { show(back); ask(); }, ...details });
    if (after) show(after);
    ask();
    return after !== null;
  }

  // The case: all alerts of a day of the card, merchant or device. What joins while one looks is not ticked.
  /** @type {Map<string, boolean>} */
  const ticked = new Map(); // decision key to whether it is ticked
  /** @param {CaseAlerts} of */
  function drawCase(of) {
    const { by, day_ms: dayMs, alerts, more, joined, cards } = of;
    const first = ticked.size === 0;
    for (const one of alerts) if (!ticked.has(one.key)) ticked.set(one.key, first);
    const waiting = alerts.filter((one) => !CLOSED.includes(one.status)), chosen = waiting.filter((one) => ticked.get(one.key));
    const money_ = money(alerts.reduce((sum, one) => sum + one.billing_amount_minor, 0), base);
    const day = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeZone: "UTC" }).format(dayMs);
    const act_ = async (/** @type {Change} */ change) => { if (await actOnMany(chosen, change, { undone: askCase }) !== null) { askCase(); ask(); } };
    const tick = (/** @type {Alert} */ one) => mayChange && !CLOSED.includes(one.status) && h("input", { type: "checkbox", "data-key": `tick ${one.key}`, "aria-label": `Tick ${one.transaction_id}`, checked: ticked.get(one.key), onchange: (event) => { ticked.set(one.key, event.target.checked); drawCase(of); } });
    redraw(parts.alerts, h("p", {}, `${number(alerts.length)} ${alerts.length === 1 ? "alert" : "alerts"} ${joined ? `of ${number(cards)} cards, taken together by hand` : `of this ${by} arrived on ${day} (UTC)`}, ${money_} together; ${number(waiting.length)} ${waiting.length === 1 ? "waits" : "wait"}.`),
      more && h("p", { class: "soft" }, "It has more alerts than are read here; older ones may be missing."),
      alerts.length > 1 && table(["", "When", "Amount", "Merchant", "Reason", "Alert"], alerts.map((one) => [tick(one), time(one.event_ms), money(one.amount_minor, one.currency), [one.merchant_id, h("div", { class: "soft" }, country(one.merchant_country))], one.reasons[0] ?? "", caseLink(one)])),
      mayChange && alerts.length > 1 && h("div", { class: "row" }, CHANGES.map((change) =>
        h("button", { "data-key": `case ${change}`, class: change === "confirm_fraud" ? "danger" : "", disabled: chosen.length === 0, onclick: () => act_(change) }, `${DOES[change]} (${chosen.length})`)),
        joined && h("button", { "data-key": "case split", disabled: chosen.length === 0, onclick: () => act_("split") }, `${DOES.split} (${chosen.length})`)));
  }
  let askCase = () => {};

  // What is known of the payment; beside it, once the card is read, what was usual for the card before.
  /** @param {Alert} alert @param {Usual | null} [usual] */
  function drawFacts(alert, usual = null) {
    const beside = (/** @type {string} */ text) => h("div", { class: "soft usual" }, text);
    /** @param {string} name @param {string} what */
    const same = (name, what) => usual !== null && usual.payments > 0 && beside(`${usual.same[name] ? number(usual.same[name]) : "none"} of ${number(usual.payments)} earlier payments ${what}`);
    const amounts = usual !== null && usual.payments > 0 && beside(`usually ${money(usual.amount.low_minor, base)} to ${money(usual.amount.high_minor, base)}; ${number(usual.amount.smaller)} of ${number(usual.payments)} earlier payments were smaller`);
    /** @type {([name: string, value: Child] | false | null | undefined | "")[]} */
    const pairs = [["Transaction", h("span", { class: "code" }, alert.transaction_id)], ["Happened", time(alert.event_ms)], ["Decided", time(alert.decided_ms)],
      ["Amount", [money(alert.amount_minor, alert.currency), amounts]], alert.currency !== base && ["Billed", money(alert.billing_amount_minor, base)],
      ["Card", [h("span", { class: "code" }, alert.card_token), usual && beside(usual.payments ? `${number(usual.payments)} payments known from the ${duration(alert.event_ms - usual.since_ms)} before` : "no earlier payment is known")]], ["Customer", h("span", { class: "code" }, alert.customer_id)],
      ["Merchant", [h("span", { class: "code" }, alert.merchant_id), same("merchant_id", "were here")]],
      ["Category", [alert.mcc_name ? `${alert.mcc_name} (${alert.mcc})` : alert.mcc, same("mcc", "were in this trade")]],
      ["Country", [country(alert.merchant_country), same("merchant_country", "were in this country")]], ["Channel", [channel(alert.channel), same("channel", "came this way")]],
      alert.device_id && ["Device", [h("span", { class: "code" }, alert.device_id), same("device_id", "came from it")]],
      ["Score", alert.score === undefined ? "–" : `${percent(alert.score)} (${words(alert.scored_by)})`], ["Severity", number(alert.severity)],
      ["Rules", alert.rules.join(", ") || "–"], alert.model_version && ["Model", h("span", { class: "code" }, alert.model_version)], ["Policy", h("span", { class: "code" }, alert.policy_version)]];
    parts.facts.replaceChildren(h("dl", { class: "pairs" }, pairs.map((pair) => pair && [h("dt", {}, pair[0]), h("dd", {}, pair[1])])));
  }

  // Reasons of lists and rules apart from the model's, which may speak against fraud as well.
  /** @param {Alert} alert */
  function reasonsBy({ reasons, reason_sources: sources = [] }) {
    /** @param {boolean} which @param {string} title */
    const given = (which, title) => {
      const texts = reasons.filter((_, place) => (sources[place] === "model") === which);
      return texts.length > 0 && [h("h3", {}, title), h("ol", { class: "reasons" }, texts.map((text) => h("li", {}, text)))];
    };
    return h("div", {}, given(false, "Rules and lists"), given(true, "The model"));
  }

  /** @param {Alert} alert @param {Gets["/cases/one"]["features"]} features */
  async function drawWhy(alert, features) {
    const chart = h("div", {}, empty("Computing…"));
    const instead = h("div", {}, empty("Computing…"));
    redraw(parts.why, reasonsBy(alert),
      features.length > 0 && h("details", {}, h("summary", {}, `Values behind the reasons (${features.length})`), h("ul", {}, features.map(({ name, text }) => h("li", { title: name }, text)))), instead, chart);
    part(instead, "/cases/counterfactual", ({ changes, missing }) => [h("h3", {}, "Would have been approved"),
      missing ? empty(MISSING[missing]) : changes.length === 0 ? empty("No change of amount, time, merchant or pace alone would have been approved.")
        : h("ul", {}, changes.map(({ text, score }) => h("li", {}, text, score !== null && h("span", { class: "soft" }, ` (score ${percent(score)})`))))]);
    await part(chart, "/cases/contributions", ({ contributions, missing }) => contributions.length === 0 ? empty(missing ? MISSING[missing] : "Nothing moved the score.")
      : [barChart({ title: "What moved the model's score, in log-odds: red towards fraud, green away from it", bars: contributions.slice(0, 10).map(/** @returns {import("/static/chart.js").Bar} */ ({ text, log_odds }) => ({ label: text, value: log_odds, tone: log_odds > 0 ? "bad" : "good", text: signed(log_odds) })) }),
        contributions.length > 10 && h("p", { class: "soft" }, `and ${contributions.length - 10} smaller ones; together ${signed(contributions.slice(10).reduce((sum, one) => sum + one.log_odds, 0))}`)]);
  }

  /**
   * Loads one part; what fails says so there and is tried again when all is back.
   *
   * @template {keyof Gets} P
   * @param {HTMLElement} holder @param {P} url @param {(found: Answer<Gets, P>) => Child} draw
   * @returns {Promise<void>}
   */
  async function part(holder, url, draw) {
    try {
      redraw(holder, draw(await api.get(url, asked, { signal })));
    } catch (error) {
      if (signal.aborted) return;
      holder.replaceChildren(empty(api.messageOf(error)));
      api.events.addEventListener("recovered", () => part(holder, url, draw), { once: true, signal });
    }
  }
  const unfinished = (/** @type {boolean} */ complete) => !complete && h("p", { class: "soft" }, "The console is still reading the archive; older payments may be missing.");

  /** @param {Alert} alert @param {CardHistory} card */
  const drawCard = (alert, { payments, earlier, later, usual, complete }) => {
    drawFacts(alert, usual);
    const open = (/** @type {CardPayment} */ payment) => payment.status && payment.key !== key ? () => { go(`/case/${payment.key}`); } : null;
    const label = (/** @type {CardPayment} */ payment) => `${timeText(payment.event_ms)}\n${money(payment.amount_minor, payment.currency)} at ${payment.merchant_id}, ${country(payment.merchant_country)}\n${words(payment.outcome)}${payment.status ? `, ${words(payment.status)}` : ""}`;
    const home = payments.find((payment) => payment.home_lat !== null && payment.home_lat !== undefined);
    /** @type {import("/static/map.js").MaybePlace[]} */
    const places = payments.map((payment) => ({ lat: payment.merchant_lat, lon: payment.merchant_lon, label: label(payment), tone: TONES[payment.outcome], marked: payment.key === key }));
    if (home) places.push({ lat: home.home_lat, lon: home.home_lon, label: "The customer's home", tone: 4, home: true });
    parts.map.replaceChildren(worldMap({ title: "Where the card was used; this one is ringed, square: home", places, emptyText: "No place is known of this card's payments." }));
    /** @param {CardPayment} payment */
    const apart = ({ event_ms: ms, key: of }) => of === key ? h("strong", {}, "this one") : ms === alert.event_ms ? "at the same time" : `${duration(Math.abs(ms - alert.event_ms))} ${ms < alert.event_ms ? "before" : "after"}`;
    const where = (/** @type {CardPayment} */ payment) => [country(payment.merchant_country), h("div", { class: "soft" }, channel(payment.channel))];
    const what = (/** @type {CardPayment} */ payment) => [payment.merchant_id, payment.mcc_name && h("div", { class: "soft" }, payment.mcc_name)];
    const more = [earlier && "earlier", later && "later"].filter(Boolean).join(" and ");
    return [
      scatterChart({ title: `Amounts of the card's ${number(payments.length)} payments around this one (${base}), which is ringed`, log: true, mark: alert.event_ms, yFormat: (minor) => shortMoney(minor, base),
        points: payments.map((payment) => ({ x: payment.event_ms, y: payment.billing_amount_minor, tone: TONES[payment.outcome], label: label(payment), marked: payment.key === key, onclick: open(payment) })),
        legend: [{ name: "approve", tone: 1 }, { name: "review", tone: "warn" }, { name: "decline", tone: "bad" }] }),
      more && h("p", { class: "soft" }, `The card has ${more} payments, too.`),
      h("details", {}, h("summary", {}, "As a table"), table(["When", "From this one", "Amount", "Merchant", "Where", "Outcome", "Alert"], payments.map((payment) => [time(payment.event_ms), apart(payment), money(payment.amount_minor, payment.currency), what(payment), where(payment), outcome(payment.outcome), caseLink(payment)]))),
      unfinished(complete)];
  };
  const caseLink = (/** @type {Alert | CardPayment} */ one) => !one.status ? "" : one.key === key ? h("span", {}, "this one", CLOSED.includes(one.status) && [": ", words(one.status)]) : linkTo(one);

  // The graph grows by what is chosen in it; its cards can be taken into this case.
  /** @type {Links | null} */
  let graph = null;
  /** @type {Set<string>} */
  const ring = new Set();
  async function drawLinks(of = key) {
    try {
      const found = await api.get("/cases/links", { key: of }, { signal });
      graph = graph ? joinedGraph(graph, found) : found;
      showLinks(graph);
    } catch (error) {
      if (signal.aborted) return;
      if (graph) announce(api.messageOf(error), "bad"); else parts.links.replaceChildren(empty(api.messageOf(error)));
    }
  }
  /** @param {Links} graph */
  function showLinks(graph) {
    const cards = graph.nodes.filter((node) => node.kind === "card");
    const listed = ring.size > 0 || parts.links.querySelector("details")?.open; // what somebody opened stays open as the graph grows
    const pick = (/** @type {LinkNode} */ node) => mayChange && node.key !== graph.root && node.alerts > 0 && h("input", { type: "checkbox", "data-key": `ring ${node.key}`, "aria-label": `Take card ${node.name} into this case`, checked: ring.has(node.key), onchange: (event) => { event.target.checked ? ring.add(node.key) : ring.delete(node.key); showLinks(graph); } });
    redraw(parts.links, graph.nodes.length === 1 ? empty("This card shares nothing with others that the console knows.") : linkGraph({ ...graph, currency: base, expand: (node) => drawLinks(node.key) }),
      graph.more && h("p", { class: "soft" }, "There is more than is shown: the newest payments, and of merchants those with alerts."),
      cards.length > 1 && h("details", { open: listed }, h("summary", {}, `Cards (${number(cards.length)})`), h("ul", { class: "ring" }, cards.map((node) => h("li", {}, pick(node), " ", h("a", { href: `/find/card/${node.key}` }, nodeText(node, base)))))),
      ring.size > 0 && h("button", { "data-key": "join", onclick: () => { join(graph); } }, `Take ${number(ring.size)} into this case`));
  }
  /** @param {Links} graph */
  async function join(graph) {
    try {
      const { results } = await api.post("/cases/joins", { key, cards: [...ring] });
      const refused = results.filter((one) => one.refused);
      for (const one of refused) announce(String(one.refused), "bad");
      announce(`${number(results.length - refused.length)} alerts are one case now.`, "good");
      ring.clear();
      showLinks(graph);
      askCase();
      ask();
    } catch (error) {
      announce(api.messageOf(error), "bad");
    }
  }

  const drawMerchant = (/** @type {MerchantHistory} */ merchant) => merchant.payments === 0 ? [empty("No payment of this merchant is in the index yet."), unfinished(merchant.complete)] : [
    h("dl", { class: "pairs" }, [["From", time(merchant.since_ms)], ["Payments", number(merchant.payments)], ["Cards", number(merchant.cards)], ["Alerts", `${number(merchant.alerts)} (${percent(merchant.alerts / merchant.payments)})`], ["Billed", money(merchant.billing_minor, base)]].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    lineChart({ title: "Payments and alerts a day (UTC)", height: 150, series: [{ name: "payments", points: merchant.days.map(/** @returns {[number, number]} */ (day) => [day.day_ms, day.payments]), tone: 1 }, { name: "alerts", points: merchant.days.map(/** @returns {[number, number]} */ (day) => [day.day_ms, day.alerts]), tone: "bad" }] }), unfinished(merchant.complete)];

  /** @type {["card" | "device" | "merchant", string][]} */
  const SAME = [["card", "Same card"], ["device", "Same device"], ["merchant", "Same merchant"]];
  const drawLinked = (/** @type {Gets["/cases/linked"]} */ linked) => SAME.map(([kind, title]) =>
    h("section", { class: "linked" }, h("h3", {}, title, h("span", { class: "soft" }, ` (${linked[kind].length})`)), linked[kind].length > 0 && table(ALERT_COLUMNS, linked[kind].map((one) => alertRow(one, caseLink(one))))));

  // What is not sent yet outlives a reload and a session that ends meanwhile.
  const draft = `note ${key}`;
  const text = h("textarea", { maxlength: 1000, "aria-label": "Note", placeholder: "What you found out", value: sessionStorage.getItem(draft) ?? "", oninput: ({ target }) => sessionStorage.setItem(draft, target.value) });
  const write = h("form", { class: "stack", onsubmit: async (event) => {
    event.preventDefault();
    if (text.value.trim() && await change_("note", text.value.trim())) { text.value = ""; sessionStorage.removeItem(draft); }
  } }, text, h("div", { class: "row" }, h("button", {}, "Add note")));
  const history = h("ol", { class: "history" });
  const pending = h("p", { class: "badge warn", hidden: true }, "label follows");
  redraw(parts.work, mayChange && write, pending, history);

  /** @param {Alert} alert */
  function drawWork(alert) {
    pending.hidden = !alert.label_pending;
    const entries = [...(alert.history ?? [])].reverse().map((entry) => h("li", {}, h("strong", {}, entry.by), ` ${changeText(entry)} `, h("span", { class: "soft" }, age(entry.at_ms), " ago"), entry.note && h("blockquote", {}, linked(entry.note))));
    history.replaceChildren(...entries, h("li", {}, h("strong", {}, "system"), " raised ", h("span", { class: "soft" }, age(alert.decided_ms), " ago")));
  }

  const closing = (/** @type {Change} */ change) => () => { if (alert && !CLOSED.includes(alert.status)) change_(change); };
  onKeys(head, mayChange ? { undo: takeAction, next_for_me: () => openNext(session, go, key), ...Object.fromEntries(CHANGES.map((change) => [change, closing(change)])) } : {}, signal);

  /** @type {Alert} */
  let known;
  try {
    known = await first.promise;
  } catch (error) {
    if (api.kindOf(error) !== "missing") throw error;
    return mountSearch(root, { go, signal, transaction: key });
  }
  takeFocus(head);
  if (mayChange) api.get("/alerts/colleagues", {}, { signal }).then((names) => { colleagues = names; show(alert ?? known); }, () => {});
  askCase = api.poll("/cases/alerts", asked, drawCase, { every: 3_000, signal, fail: (error) => { if (ticked.size === 0) parts.alerts.replaceChildren(empty(api.messageOf(error))); } });
  if (mayChange) drawActs(parts.acts, { key, session, signal });
  drawLinks();
  part(parts.timeline, "/cases/card", (card) => drawCard(known, card));
  part(parts.merchant, "/cases/merchant", drawMerchant);
  part(parts.linked, "/cases/linked", drawLinked);
}

const signed = (/** @type {number} */ value) => (value > 0 ? "+" : "−") + Math.abs(value).toFixed(2);

const ALERT_COLUMNS = ["When", "Amount", "Card", "Merchant", "Outcome", "Alert"];
/** @param {{ key: string, status?: Status | null }} alert */
const linkTo = (alert) => h("a", { href: `/case/${alert.key}` }, words(alert.status ?? ""));
/** @param {Alert} alert @param {Child} link */
const alertRow = (alert, link) => [time(alert.event_ms), money(alert.amount_minor, alert.currency), h("span", { class: "code" }, alert.card_token), alert.merchant_id, outcome(alert.outcome), link];

/** @param {string[]} names @param {Child[][]} rows */
const table = (names, rows) => h("div", { class: "scroll rows", tabindex: 0, role: "region", "aria-label": "Payments" }, h("table", {}, h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col", class: name === "Amount" ? "number" : "" }, name)))),
  h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, place) => h("td", { class: names[place] === "Amount" ? "number" : "" }, cell)))))));

/** Finds cases by transaction id. Cards may share one, and it may come again, so all that have it are shown. @param {HTMLElement} root @param {{ go: Go, signal: AbortSignal, transaction?: string }} tools */
function mountSearch(root, { go, signal, transaction = "" }) {
  const wanted = h("input", { name: "transaction", maxlength: 64, required: true, class: "code", value: transaction });
  const found = h("section", { class: "stack", "aria-live": "polite" });
  const search = async (/** @type {string} */ id) => {
    found.replaceChildren(empty("Searching…"));
    try {
      const { alerts, more, complete } = await api.get("/cases/find", { transaction_id: id }, { signal });
      redraw(found, alerts.length === 0 ? empty("There is no alert on this transaction, or it is older than what the console keeps.")
        : panel(`${number(alerts.length)}${more ? " newest" : ""} on ${id}`, table(ALERT_COLUMNS, alerts.map((alert) => alertRow(alert, linkTo(alert))))),
        !complete && h("p", { class: "soft" }, "The console is still reading the archive; older alerts may be missing."));
    } catch (error) {
      if (!signal.aborted) found.replaceChildren(empty(api.messageOf(error)));
    }
  };
  root.replaceChildren(h("form", { class: "panel case-search", onsubmit: (event) => { event.preventDefault(); go(`/case/${encodeURIComponent(wanted.value.trim())}`); } },
    h("h1", {}, "Case"), h("label", {}, "Transaction", wanted), h("button", { class: "primary" }, "Open"), h("p", { class: "soft" }, "Cases open from the queue, too.")), found);
  if (transaction) search(transaction); else wanted.focus();
}
