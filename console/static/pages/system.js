// How the system runs.
import * as api from "/static/api.js";
import { barChart, lineChart } from "/static/chart.js";
import { empty, h, panel, redraw, stylesheet, tile } from "/static/dom.js";
import { age, duration, latency, number, percent, time, words } from "/static/format.js";
import { states } from "/static/watching.js";

const BEHIND_MS = 10_000;
/** @type {Partial<Record<string, string>>} */
const PHASES = {
  triggerExecution: "whole trigger", addBatch: "process and write", latestOffset: "ask the source", getBatch: "take records",
  queryPlanning: "plan", walCommit: "write offsets", commitOffsets: "write commit", commitBatch: "commit the sink",
};
const STANDINGS = { waiting: "warn", replayed: "good", redacted: "" };

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { session, announce, signal }) {
  await Promise.all([stylesheet("/static/watching.css"), stylesheet("/static/pages/system.css")]);
  const state = h("div", { class: "row end" }), tiles = h("div", { class: "tiles" });
  const job = h("div", { class: "stack" }), list = h("div");
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, "System"), state), h("div", { class: "stack" }, tiles, job, list));
  const desk = deadLetterList(list, { session, announce, signal });

  /** @param {System} data */
  function show(data) {
    redraw(state, states(data.reach));
    tiles.replaceChildren(...figures(data));
    redraw(job, data.read_ms === null ? panel("Job", empty(data.reach.job
      ? "The job has not answered yet. This page fills itself as soon as it does."
      : "The address of the job's metrics is not configured: set console.job_url or health.port."))
      : [h("div", { class: "grid wide" }, shards(data), phases(data)), h("div", { class: "grid" }, triggers(data), scoring(data), storedState(data), versions(data))]);
    desk.count(data.dead_letters);
  }
  api.poll("/system", {}, show, { every: 2_000, signal });
}

/** @param {System} data */
function figures(data) {
  const lag = data.shards.reduce((most, shard) => Math.max(most, shard.lag_ms ?? 0), 0);
  const whole = data.phases.find((phase) => phase.phase === "triggerExecution");
  const { lately, expected } = data.scoring, all = Object.values(lately).reduce((sum, count) => sum + count, 0);
  const other = all - (lately[expected] ?? 0);
  const waiting = Object.values(data.dead_letters).reduce((sum, one) => sum + (one?.waiting ?? 0), 0);
  const stalled = data.silent_s !== null && data.silent_s > data.stall_s;
  return [
    tile("Job", data.read_ms === null ? "–" : stalled ? "stalled" : "running", data.silent_s === null ? "unknown" : `last sign of life ${duration(data.silent_s * 1000)} ago`,
      data.read_ms === null ? "" : stalled || data.reach.job?.works === false ? "bad" : "good"),
    tile("Lag", data.shards.length ? latency(lag) : "–", data.shards.length === 1 ? "one shard" : `${number(data.shards.length)} shards`, lag > BEHIND_MS ? "bad" : ""),
    tile("Trigger", whole ? latency(whole.mean_ms) : "–", whole ? `p99 ${latency(whole.p99_ms)}` : "no batch in five minutes"),
    tile("Fallback", !all ? "–" : other ? percent(other / all) : "none", all ? `scored by ${words(expected)}: ${number(lately[expected] ?? 0)} in a minute` : "nothing scored in a minute",
      other ? "warn" : all ? "good" : ""),
    tile("Dead letters", number(waiting), "waiting for a replay", waiting ? "warn" : ""),
  ];
}

/** @param {[name: string, numeric?: boolean][]} heads @param {HTMLElement[]} rows */
const table = (heads, rows) => h("table", {}, h("thead", {}, h("tr", {}, heads.map(([name, numeric]) =>
  h("th", { scope: "col", class: numeric ? "number" : null }, name)))), h("tbody", {}, rows));
/** @param {string[]} values */
const cells = (...values) => values.map((value) => h("td", { class: "number" }, value));

/** @param {System} data */
function shards(data) {
  if (!data.shards.length) return panel("Shards", empty("No shard read yet."));
  return h("section", { class: "panel scroll", tabindex: 0, "aria-label": "Shards" }, h("h2", {}, "Shards"),
    table([["Stream and shard"], ["Lag", true], ["Records behind", true], ["Buffer", true], ["Last read", true], ["Throttled", true], ["Failed", true]],
      data.shards.map((one) => h("tr", {}, h("th", { scope: "row" }, one.stream, h("div", { class: "code soft" }, one.shard)),
        h("td", { class: "number" }, h("span", { class: (one.lag_ms ?? 0) > BEHIND_MS ? "state bad" : "" }, latency(one.lag_ms))),
        cells(number(one.lag_records), bytes(one.buffer_bytes), latency(one.fetch_ms), number(one.throttled), number(one.failed))))));
}

/** @param {System} data */
function phases(data) {
  const bars = data.phases.map(/** @returns {import("/static/chart.js").Bar} */ (phase) => ({ label: `${PHASES[phase.phase] ?? phase.phase}, p99 ${latency(phase.p99_ms)}`, value: phase.mean_ms, tone: phase.phase === "triggerExecution" ? "soft" : 1,
    text: latency(phase.mean_ms) }));
  return panel(`Trigger phases, mean of ${Math.round(data.span_s / 60)} min`,
    barChart({ title: "Trigger phases", hideTitle: true, bars, emptyText: "No batch in the last five minutes." }));
}

/** @param {System} data */
function triggers(data) {
  return panel("Trigger duration", lineChart({ title: "Trigger duration", hideTitle: true, area: true, yFormat: latency, emptyText: "No batch yet.",
    series: [{ name: "mean", tone: 1, points: data.triggers }] }));
}

/** @param {System} data */
function scoring({ scoring: one, retries }) {
  const all = Object.values(one.lately).reduce((sum, count) => sum + count, 0);
  const entries = Object.entries(one.lately);
  const bar = all > 0 && h("div", { class: "stripe", role: "img", "aria-label": entries.map(([name, count]) => `${words(name)} ${number(count)}`).join(", ") },
    entries.filter(([, count]) => count).map(([name, count]) => {
      const part = h("span", { class: `tone-${name === one.expected ? "good" : name === "rules_only" ? "bad" : "warn"}` });
      part.style.flexGrow = String(count);
      return part;
    }));
  const fallbacks = Object.entries(one.fallbacks);
  return panel("Scoring, last minute", bar || empty("Nothing scored in the last minute."),
    h("ul", { class: "stripe-legend" }, entries.map(([name, count]) => h("li", {}, `${words(name)} `, h("strong", {}, number(count))))),
    h("dl", { class: "pairs" },
      h("dt", {}, "Should score"), h("dd", {}, one.expected === "endpoint" ? `the endpoint ${one.endpoint}` : words(one.expected)),
      one.endpoint && [h("dt", {}, "Endpoint answers"), h("dd", {}, one.calls ? `${latency(one.call_p50_ms)}, p99 ${latency(one.call_p99_ms)}; ${number(one.call_retries)} tried again` : "no call in five minutes")],
      h("dt", {}, "Fallbacks, 5 min"), h("dd", {}, fallbacks.length ? fallbacks.map(([reason, count]) => `${words(reason)} ${number(count)}`).join(", ") : "none"),
      h("dt", {}, "Sink calls tried again"), h("dd", {}, Object.entries(retries).map(([sink, count]) => `${sink} ${number(count)}`).join(", ") || "none")));
}

/** @param {System} data */
function storedState(data) {
  if (!data.state.length) return panel("Keyed state", empty("No state yet."));
  return h("section", { class: "panel scroll", tabindex: 0, "aria-label": "Keyed state" }, h("h2", {}, "Keyed state"),
    table([["Operator"], ["Memory", true]], data.state.map((one) => h("tr", {}, h("th", { scope: "row", class: "code" }, one.operator), cells(bytes(one.bytes))))));
}

/** @param {System} data */
function versions({ versions: one, read_ms: read }) {
  const pairs = [["Model", one.model ?? "rules alone"], ["Challenger", one.challenger ?? "none"], ["Policy", one.policy ?? "–"], ["Query", one.query],
    ["Latest batch", one.batch === undefined ? "–" : number(one.batch)], ["Program", `${one.program}, Python ${one.python}`]];
  return panel("Versions", h("dl", { class: "pairs" }, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", { class: "code" }, value)]),
    h("dt", {}, "Latest decision"), h("dd", {}, one.decided_ms ? time(one.decided_ms) : "–"),
    h("dt", {}, "Metrics read"), h("dd", {}, time(read))));
}

/** @param {number | null} count */
const bytes = (count) => count === null ? "–" : count >= 1024 ** 2 ? `${number(count / 1024 ** 2, 1)} MB` : count >= 1024 ? `${number(count / 1024)} KB` : `${number(count)} B`;

/** The list of dead letters; reads on when asked, so that what one looks at does not move. @param {HTMLElement} root @param {Pick<Tools, "session" | "announce" | "signal">} tools */
function deadLetterList(root, { session, announce, signal }) {
  const mayReplay = ["lead", "admin"].includes(session.role), mayRead = session.role !== "viewer";
  let reason = "";
  /** @type {DeadLetter[]} */
  let deadLetters = [];
  /** @type {string | null} */
  let next = null;
  /** @type {{ id: string, text: string } | null} */
  let opened = null;
  /** @type {DeadLetterCounts} */
  let counts = {};
  /** @type {Set<string>} */
  const chosen = new Set();
  const heading = h("h2", {}, "Dead letters"), filter = h("select", { onchange: ({ target }) => { reason = target.value; chosen.clear(); load(); } });
  const replaySome = h("button", { class: "primary", hidden: !mayReplay, onclick: () => { replay({ ids: [...chosen] }); } });
  const replayAll = h("button", { hidden: !mayReplay, onclick: () => { replay({ reason }); } });
  const refresh = h("button", { onclick: () => { load(); } }, "Newest");
  const list = h("div", { class: "scroll" }), more = h("button", { onclick: () => { load(next); } }, "Show more");
  root.append(h("section", { class: "panel dead-letters" }, h("div", { class: "head" }, heading, h("label", {}, "Reason", filter), refresh, h("span", { class: "row end" }, replaySome, replayAll)), list, h("p", { class: "row more" }, more)));

  function draw() {
    replaySome.textContent = chosen.size ? `Replay ${chosen.size} chosen` : "Replay chosen";
    replaySome.disabled = !chosen.size;
    const waiting = reason ? counts[reason]?.waiting ?? 0 : 0;
    replayAll.textContent = reason ? `Replay all ${words(reason)} (${number(waiting)})` : "Choose a reason to replay all of it";
    replayAll.disabled = !waiting;
    more.hidden = next === null;
    if (!deadLetters.length) return redraw(list, empty(reason ? "No dead letter with this reason." : "No dead letter: every record could be decided."));
    redraw(list, h("table", {}, h("thead", {}, h("tr", {}, mayReplay && h("th", { scope: "col" }, h("span", { class: "soft" }, "Choose")),
      ["Age", "Reason", "What is wrong", "Standing", "Place"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, deadLetters.map(row))));
  }

  /** @param {DeadLetter} deadLetter */
  function row(deadLetter) {
    const box = mayReplay && h("td", {}, deadLetter.standing === "waiting" && h("input", { type: "checkbox", "aria-label": `Choose ${deadLetter.id}`, "data-key": `choose ${deadLetter.id}`,
      checked: chosen.has(deadLetter.id), onchange: (event) => { chosen[event.target.checked ? "add" : "delete"](deadLetter.id); draw(); } }));
    const line = h("tr", {}, box, h("td", {}, age(deadLetter.arrival_ms)), h("td", {}, words(deadLetter.reason)),
      h("td", {}, deadLetter.field && h("strong", { class: "code" }, deadLetter.field, " "), deadLetter.detail ?? ""),
      h("td", {}, h("span", { class: `badge ${STANDINGS[deadLetter.standing]}` }, deadLetter.standing)),
      h("td", { class: "code" }, mayRead ? h("button", { class: "quiet place", "data-key": deadLetter.id, "aria-expanded": String(opened?.id === deadLetter.id), onclick: () => open(deadLetter.id) }, deadLetter.id) : deadLetter.id));
    return opened?.id === deadLetter.id ? [line, h("tr", {}, h("td", { colspan: 6 }, h("pre", { class: "record" }, opened.text)))] : [line];
  }

  /** @param {string} id */
  async function open(id) {
    if (opened?.id === id) { opened = null; return draw(); }
    opened = { id, text: "Loading…" };
    draw();
    try {
      const found = await api.get("/system/dead-letters/record", { id }, { signal });
      if (opened?.id === id) opened = { id, text: found.data };
    } catch (error) {
      if (signal.aborted) return;
      if (opened?.id === id) opened = { id, text: api.messageOf(error) };
    }
    draw();
  }

  /** @param {string | null} before */
  async function load(before = null) {
    try {
      const page = await api.get("/system/dead-letters", { reason, before }, { signal });
      deadLetters = before === null ? page.dead_letters : [...deadLetters, ...page.dead_letters];
      next = page.next;
      draw();
    } catch (error) {
      if (!signal.aborted) redraw(list, empty(api.messageOf(error)));
    }
  }

  /** @param {{ ids: string[] } | { reason: string }} wanted */
  async function replay(wanted) {
    replaySome.disabled = replayAll.disabled = true;
    try {
      const done = await api.post("/system/dead-letters/replays", wanted, { timeout: 60_000 });
      const rest = done.waiting ? ` ${number(done.waiting)} still wait: replay again.` : "";
      announce(`${number(done.replayed)} replayed, ${number(done.left_alone)} left alone.${rest} What is still wrong comes back as a new dead letter.`, "good");
      chosen.clear();
    } catch (error) {
      announce(api.messageOf(error), "bad");
    }
    load();
  }

  /** @param {DeadLetterCounts} now */
  function count(now) {
    const before = JSON.stringify(counts);
    counts = now;
    if (JSON.stringify(counts) === before) return;
    const all = (/** @type {DeadLetterCounts[string]} */ one) => one ? one.waiting + one.replayed + one.redacted : 0;
    const total = Object.values(counts).reduce((sum, one) => sum + all(one), 0);
    redraw(filter, h("option", { value: "" }, `all (${number(total)})`), Object.entries(counts).map(([name, one]) =>
      h("option", { value: name }, `${words(name)} (${number(all(one))})`)));
    filter.value = reason;
    // The first page is read again while nobody has read further or opened a record.
    if (deadLetters.length <= 25 && !opened) load(); else draw();
  }

  api.events.addEventListener("recovered", () => load(), { signal });
  load();
  return { count };
}
