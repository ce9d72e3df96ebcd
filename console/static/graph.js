// What cards share, as a graph: circles are cards, squares what they share; colour by verdict, size by money.
import { h, s } from "/static/dom.js";
import { money, number, words } from "/static/format.js";

const WIDTH = 720, HEIGHT = 420, EDGE = 40, ROUNDS = 220;
/** @type {Record<Status, Tone>} */
const TONES = { confirmed_fraud: "bad", open: "warn", escalated: "warn", false_positive: "good" };
/** @type {[name: string, tone: Tone][]} */
const LEGEND = [["confirmed fraud", "bad"], ["waits", "warn"], ["false positive", "good"], ["no alert", "soft"], ["shared", 1]];
export const KIND_WORDS = { card: "card", customer: "customer", merchant: "merchant", device: "device", ip: "address" };

/** Places of nodes, the same for the same graph: what is linked draws together, all push each other away. @param {LinkNode[]} nodes @param {Link[]} links */
export function places(nodes, links) {
  const at = nodes.map((_, n) => ({ x: WIDTH / 2 + Math.cos(n * 2.4) * (20 + 12 * Math.sqrt(n) * 2), y: HEIGHT / 2 + Math.sin(n * 2.4) * (20 + 12 * Math.sqrt(n) * 2) }));
  const index = new Map(nodes.map((node, n) => [node.key, n]));
  const pairs = links.flatMap(({ card, to }) => {
    const one = index.get(card), other = index.get(to);
    return one === undefined || other === undefined ? [] : [[one, other]];
  });
  const rest = Math.min(110, 0.75 * Math.sqrt((WIDTH * HEIGHT) / Math.max(1, nodes.length)));
  for (let round = 0; round < ROUNDS; round += 1) {
    const moves = at.map(({ x, y }) => ({ x: (WIDTH / 2 - x) * 0.01, y: (HEIGHT / 2 - y) * 0.02 }));
    /** @param {number} one @param {number} other @param {(distance: number) => number} force */
    const push = (one, other, force) => {
      const dx = at[one].x - at[other].x, dy = at[one].y - at[other].y, distance = Math.max(1, Math.hypot(dx, dy)), by = force(distance) / distance;
      moves[one].x += dx * by; moves[one].y += dy * by; moves[other].x -= dx * by; moves[other].y -= dy * by;
    };
    for (let one = 0; one < at.length; one += 1) for (let other = 0; other < one; other += 1) push(one, other, (distance) => (rest * rest) / (distance * 12));
    for (const [one, other] of pairs) push(one, other, (distance) => (rest * 0.8 - distance) * 0.12);
    const heat = 14 * (1 - round / ROUNDS) + 0.5;
    at.forEach((place, n) => {
      const length = Math.max(1, Math.hypot(moves[n].x, moves[n].y)), by = Math.min(length, heat) / length;
      place.x = Math.min(WIDTH - EDGE, Math.max(EDGE, place.x + moves[n].x * by));
      place.y = Math.min(HEIGHT - EDGE, Math.max(EDGE, place.y + moves[n].y * by));
    });
  }
  return at;
}

/** A node in words. @param {LinkNode} node @param {string} currency */
export const nodeText = (node, currency) => `${KIND_WORDS[node.kind]} ${node.name}: ${number(node.payments)} payments, ${number(node.alerts)} alerts, ${money(node.billing_minor, currency)}${node.status ? `, ${words(node.status)}` : ""}`;

/** The drawing; `expand(node)` is called for a node that is clicked or chosen by Enter. @param {Links & { currency: string, expand: (node: LinkNode) => unknown }} graph */
export function linkGraph({ root, nodes, links, currency, expand }) {
  const at = places(nodes, links), index = new Map(nodes.map((node, n) => [node.key, n]));
  const most = Math.max(1, ...nodes.map((node) => node.billing_minor));
  /** @param {LinkNode} node @param {number} n */
  const draw = (node, n) => {
    const size = 6 + 14 * Math.sqrt(node.billing_minor / most), { x, y } = at[n];
    const tone = node.kind === "card" ? (node.status ? TONES[node.status] : "soft") : 1, text = nodeText(node, currency);
    const mark = { class: `fill-${tone} ${node.key === root ? "root" : "dot"}` };
    return s("g", { class: "node", tabindex: 0, role: "button", "aria-label": text, "data-key": node.key, onclick: () => expand(node), onkeydown: (event) => { if (["Enter", " "].includes(event.key)) { event.preventDefault(); event.stopPropagation(); expand(node); } } },
      s("title", {}, text), node.kind === "card" ? s("circle", { ...mark, cx: x, cy: y, r: size }) : s("rect", { ...mark, x: x - size * 0.8, y: y - size * 0.8, width: size * 1.6, height: size * 1.6, rx: 2 }),
      s("text", { x, y: y + size + 12, "text-anchor": "middle" }, node.name.length > 16 ? `…${node.name.slice(-14)}` : node.name));
  };
  /** @param {Link} link */
  const line = ({ card, to, payments }) => {
    const [one, other] = [at[index.get(card) ?? -1], at[index.get(to) ?? -1]];
    return one && other && s("line", { class: "axis", x1: one.x, y1: one.y, x2: other.x, y2: other.y, "stroke-width": Math.min(4, 1 + Math.log2(payments) / 2) });
  };
  return h("figure", { class: "chart graph" }, h("figcaption", {}, "Circles are cards, squares what they share; size by money. Choose one to see what it shares."),
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": "Links between cards" }, links.map(line), nodes.map(draw)),
    h("ul", { class: "chart-legend" }, LEGEND.map(([name, tone]) => h("li", {}, s("svg", { viewBox: "0 0 10 10", "aria-hidden": true }, s("rect", { width: 10, height: 10, rx: tone === 1 ? 1 : 5, class: `fill-${tone}` })), name))));
}

/** Two graphs as one. Each knows of a node what it has read, so the one that has read more of it counts. @param {Links} before @param {Links} after @returns {Links} */
export function joined(before, after) {
  const nodes = new Map(before.nodes.map((node) => [node.key, node]));
  for (const node of after.nodes) if (node.payments >= (nodes.get(node.key)?.payments ?? 0)) nodes.set(node.key, node);
  const links = new Map([...before.links, ...after.links].map((link) => [`${link.card} ${link.to}`, link]));
  return { root: before.root, nodes: [...nodes.values()].slice(0, 150), links: [...links.values()], more: before.more || after.more };
}
