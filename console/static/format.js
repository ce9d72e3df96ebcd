// Numbers, money and times for people. Times are milliseconds since the epoch.
import { h } from "/static/dom.js";

const cached = new Map();
const once = (key, make) => cached.get(key) ?? cached.set(key, make()).get(key);

// Of ISO 4217, as the server has it: a browser's own table says how people round, which is not what a minor unit is.
let minorDigits = {};

/** Takes the decimals of currencies, by code. */
export const useMinorDigits = (table) => { minorDigits = table; };

/** Decimals of a currency: 2 of EUR, 0 of JPY, and 2 of one that is not known. */
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
    return once(`money ${currency} ${decimals}`, () => new Intl.NumberFormat(undefined, { style: "currency", currency, minimumFractionDigits: decimals, maximumFractionDigits: decimals }))
      .format(minor / 10 ** decimals);
  } catch {
    return `${minor} ${currency}`;
  }
}

/** The same, short: €1.2K. */
export function shortMoney(minor, currency) {
  return once(`short ${currency}`, () => new Intl.NumberFormat(undefined, { style: "currency", currency, notation: "compact", minimumFractionDigits: 0, maximumFractionDigits: 1 }))
    .format(minor / 10 ** digits(currency));
}

/** A number with at most so many decimals. @type {(value: number | null | undefined, digits?: number) => string} */
export const number = (value, digits = 0) => value === null || value === undefined ? "–"
  : once(`number ${digits}`, () => new Intl.NumberFormat(undefined, { maximumFractionDigits: digits })).format(value);
/** A number, short: 1.2K. @type {(value: number) => string} */
export const short = (value) =>
  once("short", () => new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 })).format(value);
/** A share as a percentage. @type {(share: number | null | undefined, digits?: number) => string} */
export const percent = (share, digits = 1) => share === null || share === undefined ? "–"
  : once(`percent ${digits}`, () => new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: digits })).format(share);

const moment = () => once("moment", () => new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }));
const clockTime = () => once("clock", () => new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }));

const utc = (ms) => `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} UTC`;

/** Text of a time in the analyst's zone. */
export const timeText = (ms) => moment().format(ms);
export const clockText = (ms) => clockTime().format(ms);

/** A time in the analyst's zone; UTC on hover. */
export const time = (ms) => ms === null || ms === undefined ? "–"
  : h("time", { datetime: new Date(ms).toISOString(), title: utc(ms) }, moment().format(ms));

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

/** Latency: 0.8 s, 140 ms. */
export const latency = (ms) => ms === null || ms === undefined ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${number(ms / 1000, 1)} s`;

/** How long ago, with the time itself on hover. */
export const age = (ms, now = Date.now()) =>
  h("time", { datetime: new Date(ms).toISOString(), title: `${moment().format(ms)} · ${utc(ms)}` }, duration(now - ms));

/** A code as words: confirmed_fraud is "confirmed fraud". @type {(code: string) => string} */
export const words = (code) => code.replaceAll("_", " ");

/** A country by its name in the analyst's language; its code where it has none. */
export const country = (code) => {
  try {
    return once("country", () => new Intl.DisplayNames(undefined, { type: "region", fallback: "code" })).of(code);
  } catch {
    return code;
  }
};

const CHANNELS = { pos: "in a shop", atm: "cash machine", ecommerce: "online", moto: "mail or phone" };

/** A channel in words. */
export const channel = (code) => CHANNELS[code] ?? words(code);

/** The outcome of a decision as a coloured label; the text alone says it too. */
export const outcome = (name) => h("span", { class: `badge outcome-${name}` }, words(name));
export const status = (name) => h("span", { class: `badge status-${name}` }, words(name));
