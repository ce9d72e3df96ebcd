// Fraud campaigns against the local stack.
import * as api from "/static/api.js";
import { lineChart } from "/static/chart.js";
import { empty, h, panel, redraw, stylesheet, tile } from "/static/dom.js";
import { duration, latency, money, number, percent, time, words } from "/static/format.js";

const PACES = { stream: "as fast as the stream's event time", hour: "an hour a second", minute: "a minute a second" };
/** @type {Record<LabRun["state"], string>} */
const STATES = { running: "warn", sent: "good", stopped: "", failed: "bad" };

/** @param {HTMLElement} root @param {Tools} tools */
export async function mount(root, { session, announce, signal }) {
  await Promise.all([stylesheet("/static/watching.css"), stylesheet("/static/pages/lab.css")]);
  const mayStart = ["lead", "admin"].includes(session.role);
  const runs = h("div", { class: "stack" }, empty("Loading…"));
  const form = starter();
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, "Lab"), h("span", { class: "soft" }, "Fraud on this machine's own stack: start a campaign and watch it being found.")),
    h("div", { class: "stack" }, form.element, runs));
  const ask = api.poll("/lab", {}, (data) => { form.offer(data); drawRuns(data); }, { every: 1_000, signal });

  function starter() {
    const campaign = h("select", { required: true, onchange: () => { explain(); } }), meaning = h("p", { class: "soft meaning" });
    const cases = h("input", { type: "number", min: 1, max: 50, value: 3, required: true });
    const pace = h("select", {}, Object.entries(PACES).map(([value, text]) => h("option", { value }, text)));
    const button = h("button", { class: "primary", disabled: true }, "Start the campaign");
    /** @type {LabPage["campaigns"]} */
    let known = [];
    const explain = () => { meaning.textContent = known.find((one) => one.name === campaign.value)?.meaning ?? ""; };
    const element = mayStart
      ? h("form", { class: "panel row starter", onsubmit: start }, h("label", {}, "Campaign", campaign), h("label", {}, "Cases", cases), h("label", {}, "Pace", pace), button, meaning)
      : h("p", { class: "panel soft" }, "A lead or an admin starts campaigns; you may watch them here.");

    /** @param {Event} event */
    async function start(event) {
      event.preventDefault();
      button.disabled = true;
      try {
        await api.post("/lab/runs", { campaign: campaign.value, cases: Number(cases.value), pace: pace.value });
        announce(`${words(campaign.value)} is on its way; its first transactions come in some seconds.`, "good");
      } catch (error) {
        announce(api.messageOf(error), "bad");
      }
      button.disabled = false;
      ask();
    }
    /** @param {LabPage} page */
    function offer({ campaigns, max_cases: most }) {
      if (known.length) return;
      known = campaigns;
      cases.max = String(most);
      campaign.replaceChildren(...campaigns.map(({ name }) => h("option", { value: name }, words(name))));
      button.disabled = false;
      explain();
    }
    return { element, offer };
  }

  /** @param {LabPage} data */
  function drawRuns(data) {
    if (!data.runs.length) return redraw(runs, panel("Campaigns", empty("No campaign started yet.")));
    redraw(runs, data.runs.map((run) => card(run, data)));
  }

  /** @param {LabRun} run @param {LabPage} page */
  function card(run, { currency, course_fields: names }) {
    const at = (/** @type {CourseField} */ name) => names.indexOf(name);
    const stop = mayStart && run.state === "running" && h("button", { class: "danger", "data-key": `stop ${run.name}`, onclick: () => end(run.name) }, "Stop");
    const all = run.lost_minor + run.saved_minor;
    /** @param {CourseField} name @param {string} title @param {Tone} tone @returns {import("/static/chart.js").Series} */
    const line = (name, title, tone) => ({ name: title, tone, points: [[run.started_ms, 0], ...run.course.map(/** @returns {[number, number]} */ (point) => [point[at("at_ms")], point[at(name)]])] });
    return h("section", { class: "panel run" },
      h("div", { class: "head" }, h("h2", {}, words(run.campaign)), h("span", { class: `badge ${STATES[run.state]}` }, run.state === "sent" ? "sent whole" : run.state),
        h("span", { class: "soft" }, `${number(run.cases)} cases, started by ${run.by} `, time(run.started_ms)), stop && h("span", { class: "end" }, stop)),
      run.failure && h("p", { class: "form-error" }, run.failure),
      h("div", { class: "tiles" },
        tile("Time to first detection", run.first_detection_ms === null ? "–" : latency(run.first_detection_ms), detection(run), run.first_detection_ms === null ? "" : "good"),
        tile("Share caught", run.frauds ? percent(run.alerted / run.frauds, 0) : "–", `${number(run.alerted)} of ${number(run.frauds)} decided, ${number(run.sent)} sent`),
        tile("Cards found", run.cards ? percent(run.cards_found / run.cards, 0) : "–", `${number(run.cards_found)} of ${number(run.cards)}`),
        tile("Money lost", all ? money(run.lost_minor, currency) : "–", "up to a card's first alert", run.lost_minor ? "bad" : ""),
        tile("Money saved", all ? money(run.saved_minor, currency) : "–", all ? `${percent(run.saved_minor / all, 0)} of what was tried` : "after it", run.saved_minor ? "good" : "")),
      run.course.length > 0 && h("div", { class: "grid" },
        lineChart({ title: "Fraudulent transactions", height: 160, yFormat: (value) => number(value, 1), series: [line("frauds", "decided", 1), line("alerted", "caught", "good")] }),
        lineChart({ title: "Money", height: 160, yFormat: (value) => money(value, currency), series: [line("lost_minor", "lost", "bad"), line("saved_minor", "saved", "good")] })));
  }

  /** @param {string} name */
  async function end(name) {
    try {
      await api.post(`/lab/runs/${encodeURIComponent(name)}/stop`);
    } catch (error) {
      announce(api.messageOf(error), "bad");
    }
    ask();
  }
}

/** @param {LabRun} run */
function detection(run) {
  if (run.first_detection_ms !== null) return "first transaction sent to first alert";
  if (run.state === "running") return run.frauds ? "not found yet" : `waiting for its first transaction, ${duration(Date.now() - run.started_ms)}`;
  return run.frauds ? "not found" : "nothing decided";
}
