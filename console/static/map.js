// Places on a map of the world, drawn from outlines that come with the console.
import { empty, h, s } from "/static/dom.js";
import { BORDERS, LAND } from "/static/world.js";

const LEAST = 24; // degrees across, so that a town is not drawn as a continent
const SHAPE = 2; // width by height

/**
 * @typedef {{ label: string, tone?: Tone, marked?: boolean, home?: boolean }} Shown
 * @typedef {Shown & { lat: number, lon: number }} Place
 * @typedef {Shown & { lat?: number | null, lon?: number | null }} MaybePlace
 */

/** Where a place lies in the drawing. @param {Place} place @returns {[x: number, y: number]} */
const at = ({ lat, lon }) => [lon + 180, 90 - lat];

/** The part of the world that holds all places, with room around them. @param {Place[]} places */
function view(places) {
  const xs = places.map((place) => at(place)[0]), ys = places.map((place) => at(place)[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const width = Math.min(360, Math.max(LEAST, (right - left) * 1.3, (bottom - top) * 1.3 * SHAPE)), height = width / SHAPE;
  const x = Math.max(0, Math.min(360 - width, (left + right - width) / 2)), y = Math.max(0, Math.min(180 - height, (top + bottom - height) / 2));
  return { x, y, width, height };
}

/**
 * A map; home is drawn as a square, the marked one large and last.
 *
 * @param {{ title: string, places: MaybePlace[], emptyText?: string }} map
 */
export function worldMap({ title, places, emptyText = "No place is known." }) {
  const known = places.filter(/** @returns {place is Place} */ (place) => Number.isFinite(place.lat) && Number.isFinite(place.lon));
  if (!known.length) return h("figure", { class: "chart" }, h("figcaption", {}, title), empty(emptyText));
  const { x, y, width, height } = view(known);
  const unit = width / 100;
  const order = [...known].sort((a, b) => Number(Boolean(a.marked)) - Number(Boolean(b.marked)));
  const drawn = order.map((place) => {
    const [px, py] = at(place), size = unit * (place.marked ? 1.5 : 0.9), tone = `dot fill-${place.tone ?? 1}${place.marked ? " marked" : ""}`;
    const shape = place.home ? s("rect", { x: px - size, y: py - size, width: 2 * size, height: 2 * size, class: tone }) : s("circle", { cx: px, cy: py, r: size, class: tone });
    shape.append(s("title", {}, place.label));
    return shape;
  });
  const description = known.length === 1 ? known[0].label : `${known.length} places: ${[...new Set(known.map((place) => place.label))].slice(0, 8).join("; ")}`;
  return h("figure", { class: "chart map" }, h("figcaption", {}, title), h("div", { role: "img", "aria-label": `${title}. ${description}` },
    s("svg", { viewBox: `${x} ${y} ${width} ${height}`, "aria-hidden": true },
      s("rect", { class: "sea", x, y, width, height }), s("path", { class: "land", d: LAND }), s("path", { class: "border", d: BORDERS }), drawn)));
}
