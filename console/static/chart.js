// Small SVG charts with axes, a text alternative and an empty state. They draw themselves to the width they get.
//
// A tone is 1 to 4 (series colours) or "bad", "warn", "good", "soft". x in milliseconds is drawn as time.
import { empty, h, s } from "/static/dom.js";
import { number, short, timeText } from "/static/format.js";

/**
 * @typedef {[x: number, y: number | null]} Point
 * @typedef {{ name: string, tone?: Tone, points: Point[] }} Series
 * @typedef {{ label: string, value: number, tone?: Tone, text?: string }} Bar
 * @typedef {{ x: number, y: number, tone?: Tone, label?: string, marked?: boolean, onclick?: (() => void) | null }} Dot
 * @typedef {{ title: string, hideTitle?: boolean, emptyText?: string }} Titled
 * @typedef {{ height?: number, isTime?: boolean, yFormat?: (value: number) => string, xFormat?: (value: number) => string }} Scaled
 */

const LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 24;

/**
 * A figure that `draw(width)` fills with an SVG, again whenever its width changes.
 *
 * @param {{ title: string, hideTitle?: boolean, alternative: string, legend?: { name: string, tone: Tone }[] }} figure
 * @param {(width: number) => Node} draw
 */
function figure({ title, hideTitle = false, alternative, legend = [] }, draw) {
  const holder = h("div", { role: "img", "aria-label": `${title}. ${alternative}` });
  const list = legend.length > 1 && h("ul", { class: "chart-legend" }, legend.map(({ name, tone }) =>
    h("li", {}, s("svg", { viewBox: "0 0 10 10", "aria-hidden": true }, s("rect", { width: 10, height: 10, rx: 2, class: `fill-${tone}` })), name)));
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (!now || now === width) return;
    width = now;
    holder.replaceChildren(draw(width));
  }).observe(holder);
  return h("figure", { class: "chart" }, h("figcaption", { hidden: hideTitle }, title), holder, list);
}

/** @param {string} title @param {boolean | undefined} hideTitle @param {string} text */
const nothing = (title, hideTitle, text) =>
  h("figure", { class: "chart" }, h("figcaption", { hidden: hideTitle }, title), empty(text));

/** Round steps that cover [low, high] in about `count` parts. @param {number} low @param {number} high @param {number} count */
export function ticks(low, high, count) {
  const rough = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5].map((one) => one * power).find((one) => one >= rough) ?? 10 * power;
  /** @type {number[]} */
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

const SECOND = 1_000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [1, 5, 15, 30].map((n) => n * SECOND).concat([1, 5, 15, 30].map((n) => n * MINUTE), [1, 3, 6, 12].map((n) => n * HOUR),
  [1, 2, 7, 14, 30, 90, 365].map((n) => n * DAY));

/** @param {number} low @param {number} high @param {number} count */
function timeTicks(low, high, count) {
  const step = STEPS.find((one) => (high - low) / one <= count) ?? 365 * DAY;
  const shift = -new Date(low).getTimezoneOffset() * MINUTE;
  /** @type {number[]} */
  const found = [];
  for (let value = Math.ceil((low + shift) / step) * step - shift; value <= high; value += step) found.push(value);
  /** @type {Intl.DateTimeFormatOptions} */
  const style = step >= DAY ? { day: "numeric", month: "short" } : step >= MINUTE ? { hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const format = new Intl.DateTimeFormat(undefined, style);
  return { at: found, text: (/** @type {number} */ value) => format.format(value) };
}

/**
 * @param {number} width @param {number} height @param {[number, number]} xs @param {[number, number]} ys
 * @param {{ isTime: boolean, yFormat: (value: number) => string, xFormat?: (value: number) => string, log?: boolean }} scale
 */
function frame(width, height, [x0, x1], [y0, y1], { isTime, yFormat, xFormat, log = false }) {
  const along = (/** @type {number} */ value) => LEFT + (x1 === x0 ? 0.5 : (value - x0) / (x1 - x0)) * (width - LEFT - RIGHT);
  const level = (/** @type {number} */ value) => log ? Math.log10(Math.max(value, y0)) : value;
  const [low, high] = [level(y0), level(y1)];
  const up = (/** @type {number} */ value) => height - BOTTOM - (high === low ? 0.5 : (level(value) - low) / (high - low)) * (height - TOP - BOTTOM);
  const rows = log ? ticks(low, high, 3).filter(Number.isInteger).map((power) => 10 ** power) : ticks(y0, y1, Math.max(2, Math.floor(height / 45)));
  const columns = isTime ? timeTicks(x0, x1, Math.max(2, Math.floor(width / 95)))
    : { at: ticks(x0, x1, Math.max(2, Math.floor(width / 90))), text: xFormat ?? ((/** @type {number} */ value) => number(value, 2)) };
  const parts = [
    rows.map((value) => [
      s("line", { class: "gridline", x1: LEFT, x2: width - RIGHT, y1: up(value), y2: up(value) }),
      s("text", { x: LEFT - 6, y: up(value) + 4, "text-anchor": "end" }, yFormat(value)),
    ]),
    s("path", { class: "axis", d: `M${LEFT},${height - BOTTOM}H${width - RIGHT}` }),
    columns.at.map((value) => s("text", { x: along(value), y: height - 7, "text-anchor": "middle" }, columns.text(value))),
  ];
  return { along, up, parts };
}

/** @type {Tone[]} */
const SERIES_TONES = [1, 2, 3, 4];
/** @param {Series} one @param {number} place */
const toneOf = (one, place) => one.tone ?? SERIES_TONES[place % SERIES_TONES.length];

/** Whether something was measured. @param {Point} point @returns {point is [x: number, y: number]} */
const measured = (point) => Number.isFinite(point[1]);

/** @type {(values: number[]) => [low: number, high: number]} */
const extent = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

/**
 * Lines over time or a number.
 *
 * y null leaves a gap. area fills below. yMin, yMax widen the scale.
 *
 * @param {Titled & Scaled & { series: Series[], area?: boolean, yMin?: number, yMax?: number }} chart
 */
export function lineChart({ title, hideTitle, series, height = 200, isTime = true, area = false, yFormat = short, xFormat, yMin = 0, yMax, emptyText = "Nothing measured yet." }) {
  const known = series.map((one, place) => ({ name: one.name, tone: toneOf(one, place), points: one.points.filter(measured) }));
  const all = known.flatMap((one) => one.points);
  if (!all.length) return nothing(title, hideTitle, emptyText);
  const xs = extent(all.map(([x]) => x));
  const [low, high] = extent(all.map(([, y]) => y));
  const ys = /** @type {[number, number]} */ ([Math.min(yMin ?? low, low), Math.max(yMax ?? high, high)]);
  if (ys[0] === ys[1]) ys[1] += 1;
  const xText = isTime ? timeText : xFormat ?? ((value) => number(value, 2));
  const alternative = known.filter((one) => one.points.length).map(({ name, points }) => {
    const [least, most] = extent(points.map(([, y]) => y));
    return `${name}: last ${yFormat(points[points.length - 1][1])}, between ${yFormat(least)} and ${yFormat(most)}`;
  }).join(". ") + `. From ${xText(xs[0])} to ${xText(xs[1])}.`;
  return figure({ title, hideTitle, alternative, legend: known }, (width) => {
    const { along, up, parts } = frame(width, height, xs, ys, { isTime, yFormat, xFormat });
    const floor = height - BOTTOM;
    const paths = series.map((one, place) => {
      const tone = toneOf(one, place);
      let pen = "M", d = "", fill = "", last = "";
      /** @type {string | null} */
      let begin = null;
      const close = () => { if (begin !== null) fill += `L${last},${floor}L${begin},${floor}Z`; };
      for (const point of one.points) {
        if (!measured(point)) { close(); pen = "M"; begin = null; continue; }
        const [x, y] = point, step = `${pen}${along(x).toFixed(1)},${up(y).toFixed(1)}`;
        if (pen === "M") begin = along(x).toFixed(1);
        d += step; fill += step; pen = "L"; last = along(x).toFixed(1);
      }
      close();
      return [area && s("path", { class: `area fill-${tone}`, d: fill }), s("path", { class: `line stroke-${tone}`, d })];
    });
    // One strip for each x that holds the values of all series: hover reads them.
    const places = [...new Set(all.map(([x]) => x))].sort((a, b) => a - b);
    const wide = Math.max(2, (width - LEFT - RIGHT) / places.length);
    const hits = places.length > 400 ? [] : places.map((x) => s("rect", { class: "hit", x: along(x) - wide / 2, y: TOP, width: wide, height: floor - TOP },
      s("title", {}, [xText(x), ...known.flatMap(({ name, points }) => points.filter(([at]) => at === x).slice(0, 1).map(([, y]) => `${name}: ${yFormat(y)}`))].join("\n"))));
    return s("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": true }, parts, paths, hits);
  });
}

/**
 * Horizontal bars from zero, to both sides where values are negative.
 *
 * @param {Titled & { bars: Bar[], format?: (value: number) => string }} chart
 */
export function barChart({ title, hideTitle, bars, format = (value) => number(value, 2), emptyText = "Nothing to show." }) {
  if (!bars.length) return nothing(title, hideTitle, emptyText);
  const [low, high] = extent([0, ...bars.map((bar) => bar.value)]);
  const alternative = bars.map((bar) => `${bar.label}: ${bar.text ?? format(bar.value)}`).join("; ") + ".";
  return figure({ title, hideTitle, alternative }, (width) => {
    const line = 40, height = bars.length * line, edge = 70;
    const room = Math.max(40, width - (low < 0 ? 2 : 1) * edge);
    const zero = low < 0 ? edge + (-low / (high - low || 1)) * room : 0;
    const scale = (/** @type {number} */ value) => (value / (high - low || 1)) * room;
    return s("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": true }, bars.map((bar, place) => {
      const size = Math.max(1, Math.abs(scale(bar.value))), left = bar.value < 0 ? zero - size : zero, top = place * line;
      const tone = bar.tone ?? (bar.value < 0 ? "good" : 1);
      return [
        s("text", { x: 0, y: top + 13, class: "value" }, fit(bar.label, width)),
        s("rect", { x: left, y: top + 19, width: size, height: 13, rx: 2, class: `fill-${tone}` }, s("title", {}, `${bar.label}: ${bar.text ?? format(bar.value)}`)),
        s("text", { x: bar.value < 0 ? left - 5 : left + size + 5, y: top + 30, "text-anchor": bar.value < 0 ? "end" : "start", class: "value" }, bar.text ?? format(bar.value)),
      ];
    }), low < 0 && s("path", { class: "axis", d: `M${zero},0V${height}` }));
  });
}

/** @param {string} text @param {number} width */
const fit = (text, width) => text.length > width / 6.2 ? `${text.slice(0, Math.max(4, Math.floor(width / 6.2) - 1))}…` : text;

/**
 * Points over time or a number; the marked ones are drawn large and last. log draws y in powers of ten. mark draws a line at an x.
 *
 * @param {Titled & Scaled & { points: Dot[],
 *   log?: boolean, mark?: number | null, legend?: { name: string, tone: Tone }[], alternative?: string }} chart
 */
export function scatterChart({ title, hideTitle, points, height = 220, isTime = true, log = false, mark = null, yFormat = short, xFormat, legend = [], alternative, emptyText = "Nothing to show." }) {
  if (!points.length) return nothing(title, hideTitle, emptyText);
  const xs = extent(points.map((point) => point.x));
  if (xs[0] === xs[1]) { xs[0] -= HOUR; xs[1] += HOUR; }
  const [low, high] = extent(points.map((point) => point.y));
  const ys = /** @type {[number, number]} */ (log ? [Math.max(1, low) / 1.5, Math.max(1, high) * 1.5] : [Math.min(0, low), high * 1.06 || 1]);
  const description = alternative ?? `${points.length} points from ${(isTime ? timeText : String)(xs[0])} to ${(isTime ? timeText : String)(xs[1])}, between ${yFormat(low)} and ${yFormat(high)}.`;
  return figure({ title, hideTitle, alternative: description, legend }, (width) => {
    const { along, up, parts } = frame(width, height, xs, ys, { isTime, yFormat, xFormat, log });
    const order = [...points].sort((a, b) => Number(Boolean(a.marked)) - Number(Boolean(b.marked)));
    const line = mark !== null && s("path", { class: "mark", d: `M${along(mark)},${TOP}V${height - BOTTOM}` });
    return s("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": true }, parts, line, order.map((point) =>
      s("circle", { cx: along(point.x), cy: up(point.y), r: point.marked ? 7 : 4, class: `dot fill-${point.tone ?? 1}${point.marked ? " marked" : ""}`, onclick: point.onclick },
        s("title", {}, point.label ?? `${(isTime ? timeText : String)(point.x)}: ${yFormat(point.y)}`))));
  });
}
