// Numbers, money and times for people. Times are milliseconds since the epoch.
import { h } from "/static/dom.js";

/** @type {Map<string, Intl.NumberFormat>} */
const formats = new Map();

/** A format of numbers, made at its first use, as making one takes long. @param {string} name @param {Intl.NumberFormatOptions} options */
function format(name, options) {
  const known = formats.get(name) ?? new Intl.NumberFormat(undefined, options);
  formats.set(name, known);
  return known;
}
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const COUNTRIES = new Intl.DisplayNames(undefined, { type: "region", fallback: "code" });

// Of ISO 4217, as the server has it: a browser's own table says how people round, which is not what a minor unit is.
/** @type {Partial<Record<string, number>>} */
let minorDigits = {};

/** Takes the decimals of currencies, by code. @param {Record<string, number>} table */
export const useMinorDigits = (table) => { minorDigits = table; };

/** Decimals of a currency: 2 of EUR, 0 of JPY, and 2 of one that is not known. @param {string} currency */
export const digits = (currency) => minorDigits[currency] ?? 2;

/**
 * Minor units of a currency, by its own number of decimals: money(1234, "JPY") is ¥1,234.
 *
 * @param {number | null | undefined} minor @param {string} currency
 */
export function money(minor, currency) {
  if (minor === null || minor === undefined) return "–";
  const decimals = digits(currency);
  try {
    return format(`money ${currency} ${decimals}`, { style: "currency", currency, minimumFractionDigits: decimals, maximumFractionDigits: decimals })
      .format(minor / 10 ** decimals);
  } catch {
    return `${minor} ${currency}`;
  }
}

/** The same, short: €1.2K. @param {number} minor @param {string} currency */
export function shortMoney(minor, currency) {
  return format(`short ${currency}`, { style: "currency", currency, notation: "compact", minimumFractionDigits: 0, maximumFractionDigits: 1 })
    .format(minor / 10 ** digits(currency));
}

/** A number with at most so many decimals. @type {(value: number | null | undefined, digits?: number) => string} */
export const number = (value, digits = 0) => value === null || value === undefined ? "–"
  : format(`number ${digits}`, { maximumFractionDigits: digits }).format(value);
/** A number, short: 1.2K. @type {(value: number) => string} */
export const short = (value) =>
  format("short", { notation: "compact", maximumFractionDigits: 1 }).format(value);
/** A share as a percentage. @type {(share: number | null | undefined, digits?: number) => string} */
export const percent = (share, digits = 1) => share === null || share === undefined ? "–"
  : format(`percent ${digits}`, { style: "percent", maximumFractionDigits: digits }).format(share);

/** @param {number} ms */
const utc = (ms) => `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} UTC`;

/** Text of a time in the analyst's zone. @param {number} ms */
export const timeText = (ms) => MOMENT.format(ms);
/** The same without its day. @param {number} ms */
export const clockText = (ms) => CLOCK.format(ms);

/** A time in the analyst's zone; UTC on hover. @param {number | null | undefined} ms */
export const time = (ms) => ms === null || ms === undefined ? "–"
  : h("time", { datetime: new Date(ms).toISOString(), title: utc(ms) }, MOMENT.format(ms));

/** How long: 45 s, 12 min, 3 h 20 min, 5 d. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 && hours < 10 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/** Latency: 0.8 s, 140 ms. @param {number | null | undefined} ms */
export const latency = (ms) => ms === null || ms === undefined ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${number(ms / 1000, 1)} s`;

/** How long ago, with the time itself on hover. @param {number} ms @param {number} [now] */
export const age = (ms, now = Date.now()) =>
  h("time", { datetime: new Date(ms).toISOString(), title: `${MOMENT.format(ms)} · ${utc(ms)}` }, duration(now - ms));

/** A code as words: confirmed_fraud is "confirmed fraud". @type {(code: string) => string} */
export const words = (code) => code.replaceAll("_", " ");

/** A country by its name in the analyst's language; its code where it has none. @param {string} code @returns {string} */
export const country = (code) => {
  try {
    return COUNTRIES.of(code) ?? code;
  } catch {
    return code;
  }
};

/** @type {Partial<Record<string, string>>} */
const CHANNELS = { pos: "in a shop", atm: "cash machine", ecommerce: "online", moto: "mail or phone" };

/** A channel in words. @param {string} code */
export const channel = (code) => CHANNELS[code] ?? words(code);

/** The outcome of a decision as a coloured label; the text alone says it too. @param {string} name */
export const outcome = (name) => h("span", { class: `badge outcome-${name}` }, words(name));
/** How an alert stands, likewise. @param {string} name */
export const status = (name) => h("span", { class: `badge status-${name}` }, words(name));
