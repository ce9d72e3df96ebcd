// Elements built from data. Text is always text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {Element} E
 * @param {E} element @param {Attributes<E>} [attributes] @param {readonly Child[]} [children]
 */
function fill(element, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "value" || name === "checked" || name === "disabled") Object.assign(element, { [name]: value });
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

/** What is to be shown of children. @param {readonly Child[]} children @returns {(Node | string)[]} */
export const flat = (children) => children.flatMap((child) => {
  if (child === null || child === undefined || child === false) return [];
  if (typeof child !== "object") return [String(child)];
  return child instanceof Node ? [child] : flat(child);
});

/**
 * h("button", {class: "primary", onclick: act}, "Save"): an HTML element.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Attributes<HTMLElementTagNameMap[K]>} [attributes] @param {Child[]} children
 */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/**
 * The same for SVG.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag @param {Attributes<SVGElementTagNameMap[K]>} [attributes] @param {Child[]} children
 */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A quiet text where there is nothing to show. @param {Child[]} text */
export const empty = (...text) => h("p", { class: "empty" }, ...text);

/** A titled box. @param {string} title @param {Child[]} children */
export const panel = (title, ...children) => h("section", { class: "panel" }, h("h2", {}, title), ...children);

/**
 * A figure to read from afar: label, value, what it is compared with.
 *
 * @param {string} label @param {Child} value @param {string} [note] @param {string} [tone]
 */
export const tile = (label, value, note = "", tone = "") =>
  h("div", { class: `tile ${tone}` }, h("span", { class: "tile-label" }, label), h("span", { class: "tile-value" }, value),
    h("span", { class: "tile-note" }, note));

/** A text whose https addresses are links, opened beside the console without saying where from. @param {string} text */
export const linked = (text) => text.split(/(https:\/\/[^\s<>"']+)/).map((part, place) => place % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part);

/**
 * Replaces an element's content, keeping the focus on the same `data-key` and where the user has scrolled.
 *
 * @param {HTMLElement} element @param {Child[]} children
 */
export function redraw(element, ...children) {
  /** @type {HTMLElement | null} */
  const holder = element.contains(document.activeElement) ? document.activeElement?.closest("[data-key]") ?? null : null;
  const key = holder?.dataset.key;
  element.replaceChildren(...flat(children));
  if (key) /** @type {HTMLElement[]} */ ([...element.querySelectorAll("[data-key]")]).find((one) => one.dataset.key === key)?.focus({ preventScroll: true });
}

/** Loads a page's own style sheet, once; resolves when it applies. @param {string} path @returns {Promise<void>} */
export function stylesheet(path) {
  if (document.querySelector(`link[href="${path}"]`)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    document.head.append(h("link", { rel: "stylesheet", href: path, onload: () => resolve(), onerror: () => reject(new Error(`${path} cannot be loaded`)) }));
  });
}
