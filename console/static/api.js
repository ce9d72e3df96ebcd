// The JSON API: CSRF token, errors in words, and whether the server and its stores can be reached.

import { useMinorDigits } from "/static/format.js";

/** Why a call failed: `kind` is offline, store, signed-out, forbidden, missing, conflict, limited, invalid or failed. */
export class ApiError extends Error {
  /** @param {string} kind @param {string} message @param {number} [status] */
  constructor(kind, message, status = 0) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

/** @type {Partial<Record<number, string>>} */
const KINDS = { 401: "signed-out", 403: "forbidden", 404: "missing", 409: "conflict", 422: "invalid", 429: "limited", 503: "store" };
/** @type {Partial<Record<string, string>>} */
const WORDS = {
  store: "The alert store or a stream is out of reach.",
  failed: "The server failed to answer; its log says why.",
};

/** What went wrong, in words. @param {unknown} error */
export const messageOf = (error) => error instanceof Error ? error.message : String(error);

/** Why a call failed; "" for what is no failure of a call. @param {unknown} error */
export const kindOf = (error) => error instanceof ApiError ? error.kind : "";

/** Emits `outage` (detail: kind and message), `recovered` and `signed-out`. */
export const events = new EventTarget();

let csrf = "";
/** @type {{ kind: string, message: string } | null} */
let outage = null;
let view = ""; // names the page on screen: the server writes a read of a card's token down once for it
let attended = true; // whether anybody touched the page since it last asked by itself

for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
  addEventListener(kind, () => { attended = true; }, { passive: true, capture: true });
}

/** From now on another page is on screen. */
export function beginView() {
  view = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {{ kind: string, message: string } | null} failure */
function note(failure) {
  const before = outage;
  outage = failure;
  if (failure && failure.kind !== before?.kind) events.dispatchEvent(new CustomEvent("outage", { detail: failure }));
  if (!failure && before) events.dispatchEvent(new Event("recovered"));
}

/**
 * What a call may be given. `itself`: the page asks without anybody's doing, which does not keep an idle session.
 *
 * @typedef {{ body?: unknown, tag?: string | null, signal?: AbortSignal, timeout?: number, itself?: boolean }} Options
 */

/** @param {string} method @param {string} path @param {Options} [options] */
async function send(method, path, { body, tag, signal, timeout = 20_000, itself = false } = {}) {
  /** @type {Record<string, string>} */
  const headers = view ? { "X-View": view } : {};
  if (itself && !attended) headers["X-Unattended"] = "1";
  attended = false;
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (tag) headers["If-None-Match"] = tag;
  const limits = [AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
  /** @type {Response} */
  let answer;
  try {
    answer = await fetch(`/api${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", signal: AbortSignal.any(limits) });
  } catch (error) {
    if (signal?.aborted) throw error;
    const failure = new ApiError("offline", "The console's server is out of reach.");
    note(failure);
    throw failure;
  }
  if (answer.ok || answer.status === 304) {
    // One store answering says nothing of another: only /health ends an outage of the stores.
    if (outage?.kind === "offline") note(null);
    return answer;
  }
  /** @type {{ detail?: string }} */
  const said = await answer.json().catch(() => ({}));
  const kind = KINDS[answer.status] ?? (answer.status >= 500 ? "failed" : "invalid");
  const failure = new ApiError(kind, WORDS[kind] ?? said.detail ?? "The request was refused.", answer.status);
  if (kind === "store") note(failure);
  if (kind === "signed-out") events.dispatchEvent(new Event("signed-out"));
  throw failure;
}

/** @param {Response} answer @returns {Promise<unknown>} */
async function content(answer) {
  return answer.status === 204 ? null : answer.json();
}

/**
 * The path with its parameters; those that are empty are left out, a list is repeated.
 *
 * @param {string} path @param {object} [parameters]
 */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) if (one !== "" && one !== null && one !== undefined) query.append(name, one);
  }
  return query.size ? `${path}?${query}` : path;
}

/** @type {<P extends string>(path: P, parameters?: object, options?: Options) => Promise<Answer<Gets, P>>} */
export const get = async (path, parameters, options) => /** @type {Answer<Gets, typeof path>} */ (await content(await send("GET", address(path, parameters), options)));
/** @type {<P extends string>(path: P, body?: unknown, options?: Options) => Promise<Answer<Posts, P>>} */
export const post = async (path, body = {}, options) => /** @type {Answer<Posts, typeof path>} */ (await content(await send("POST", path, { body, ...options })));
/** @type {(path: string, options?: Options) => Promise<unknown>} */
export const remove = async (path, options) => content(await send("DELETE", path, options));

/**
 * Asks again and again and hands over what changed: the server answers 304 while nothing did. Rests while the tab is hidden,
 * slows down while the server fails, starts at once when it is back, ends with the signal.
 *
 * `path` and `parameters` may be functions, asked each time. Returns a function that asks now.
 *
 * @template {string} P
 * @param {P | (() => P)} path
 * @param {object | (() => object)} parameters
 * @param {(data: Answer<Gets, P>) => void} show
 * @param {{ every?: number, signal?: AbortSignal, fail?: (error: unknown) => void }} [options]
 */
export function poll(path, parameters, show, { every = 2_000, signal, fail = () => {} } = {}) {
  /** @type {string | null} */
  let tag = null;
  /** @type {string | null} */
  let last = null;
  /** @type {number | undefined} */
  let timer;
  /** @type {object | null} */
  let running = null;
  let failures = 0;
  async function ask() {
    clearTimeout(timer);
    const url = address(typeof path === "function" ? path() : path, typeof parameters === "function" ? parameters() : parameters);
    const mine = running = {};
    try {
      const answer = await send("GET", url, { tag: url === last ? tag : null, signal, itself: true });
      failures = 0;
      if (mine === running && answer.status !== 304) {
        const data = await answer.json();
        if (mine === running) { tag = answer.headers.get("ETag"); last = url; show(data); }
      }
    } catch (error) {
      if (signal?.aborted || kindOf(error) === "signed-out") return;
      if (!(error instanceof ApiError)) reportError(error);
      failures += 1;
      if (mine === running) fail(error);
    }
    if (mine === running && !document.hidden) timer = setTimeout(ask, every * Math.min(8, 2 ** failures));
  }
  const wake = () => document.hidden || ask();
  document.addEventListener("visibilitychange", wake, { signal });
  events.addEventListener("recovered", wake, { signal });
  signal?.addEventListener("abort", () => { running = null; clearTimeout(timer); });
  ask();
  return ask;
}

// While something is out of reach, asks until all answer, then says so once: nobody has to load the page again.
/** @type {number | undefined} */
let probing;
events.addEventListener("outage", () => {
  const again = async () => {
    try {
      const health = await get("/health", {}, { timeout: 5_000, itself: true });
      if (Object.values(health).every(Boolean)) return note(null);
    } catch (error) {
      if (kindOf(error) === "signed-out") return note(null);
    }
    probing = setTimeout(again, 2_000);
  };
  clearTimeout(probing);
  probing = setTimeout(again, 1_000);
});

/** Who is signed in, or null. @returns {Promise<Session | null>} */
export async function session() {
  try {
    return remember(await get("/session"));
  } catch (error) {
    if (kindOf(error) === "signed-out") return null;
    throw error;
  }
}

/** @param {string} name @param {string} password @param {string} code */
export const signIn = async (name, password, code) => remember(await post("/session", { name, password, code }));

export async function signOut() {
  await remove("/session");
  csrf = "";
}

/** @param {Session} session */
function remember(session) {
  csrf = session.csrf;
  useMinorDigits(session.minor_digits);
  return session;
}
