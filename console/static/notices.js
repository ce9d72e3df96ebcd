// News in the page, by choice of each browser: how many declines and reviews came to wait, in words, in the tab's title, with a sound.
import * as api from "/static/api.js";
import { announce } from "/static/announce.js";
import { h } from "/static/dom.js";
import { number } from "/static/format.js";

/** @type {Record<string, string>} */
const CHOICES = { off: "News: off", page: "News: on", sound: "News: with sound" };
const EVERY_MS = 10_000;

const chosen = () => { const kept = localStorage.getItem("news"); return kept !== null && kept in CHOICES ? kept : "off"; };
/** @type {AudioContext | null} */
let sound = null;

/** The button that goes through the choices. */
export function newsButton() {
  const button = h("button", { class: "quiet", title: "Say when new alerts wait", onclick: () => {
    const names = Object.keys(CHOICES);
    localStorage.setItem("news", names[(names.indexOf(chosen()) + 1) % names.length]);
    button.textContent = CHOICES[chosen()];
    if (chosen() === "sound") ring(); // so that one hears what it will be
  } }, CHOICES[chosen()]);
  return button;
}

function ring() {
  sound ??= new AudioContext();
  const tone = sound.createOscillator(), volume = sound.createGain(), now = sound.currentTime;
  tone.frequency.value = 880;
  volume.gain.setValueAtTime(0.15, now);
  volume.gain.exponentialRampToValueAtTime(0.001, now + 0.4);
  tone.connect(volume).connect(sound.destination);
  tone.start(now);
  tone.stop(now + 0.4);
}

/** Looks for what came to wait, until the signal; `go` opens the queue. @param {{ go: Go, signal: AbortSignal }} tools */
export function watchNews({ go, signal }) {
  /** @type {Record<string, number> | null} */
  let before = null;
  let unseen = 0;
  const mark = () => { document.title = `${unseen ? `• ${number(unseen)} new · ` : ""}${document.title.replace(/^• .* new · /, "")}`; };
  addEventListener("pointerdown", () => { if (unseen) { unseen = 0; mark(); } }, { signal });
  async function look() {
    if (chosen() === "off") { before = null; return; }
    const { outcome } = await api.get("/alerts/facets", {}, { signal, itself: true });
    const more = (/** @type {string} */ name) => Math.max(0, (outcome[name] ?? 0) - (before?.[name] ?? 0));
    const [declines, reviews] = before === null ? [0, 0] : ["decline", "review"].map(more);
    before = outcome;
    if (!declines && !reviews) return;
    unseen += declines + reviews;
    mark();
    const said = [declines && `${number(declines)} to decline`, reviews && `${number(reviews)} to review`].filter(Boolean).join(", ");
    announce(`New alerts: ${said}.`, declines ? "bad" : "", { name: "Newest", does: () => go("/queue?order=newest") });
    if (chosen() === "sound") ring();
  }
  const timer = setInterval(() => look().catch((error) => { if (!signal.aborted && !(error instanceof api.ApiError)) reportError(error); }), EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}
