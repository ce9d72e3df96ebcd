// Elements built from data. Text is always text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * h("button", {class: "primary", onclick: act}, "Save"): an HTML element.
 *
 * @type {(tag: string, attributes?: object, ...children: any[]) => any}
 */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** The same for SVG. @type {(tag: string, attributes?: object, ...children: any[]) => any} */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A quiet text where there is nothing to show. */
export const empty = (text, ...more) => h("p", { class: "empty" }, text, ...more);

/** A titled box. */
export const panel = (title, ...children) => h("section", { class: "panel" }, h("h2", {}, title), ...children);

/** A figure to read from afar: label, value, what it is compared with. */
export const tile = (label, value, note = "", tone = "") =>
  h("div", { class: `tile ${tone}` }, h("span", { class: "tile-label" }, label), h("span", { class: "tile-value" }, value),
    h("span", { class: "tile-note" }, note));

/** A text whose https addresses are links, opened beside the console without saying where from. */
export const linked = (text) => text.split(/(https:\/\/[^\s<>"']+)/).map((part, place) => place % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part);

/**
 * Replaces an element's content, keeping the focus on the same `data-key` and where the user has scrolled.
 *
 * @param {HTMLElement} element @param {...any} children
 */
export function redraw(element, ...children) {
  /** @type {HTMLElement | null} */
  const holder = element.contains(document.activeElement) ? document.activeElement.closest("[data-key]") : null;
  const key = holder?.dataset.key;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (key) /** @type {HTMLElement[]} */ ([...element.querySelectorAll("[data-key]")]).find((one) => one.dataset.key === key)?.focus({ preventScroll: true });
}

/** Loads a page's own style sheet, once; resolves when it applies. @param {string} path @returns {Promise<void>} */
export function stylesheet(path) {
  if (document.querySelector(`link[href="${path}"]`)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    document.head.append(h("link", { rel: "stylesheet", href: path, onload: resolve, onerror: () => reject(new Error(`${path} cannot be loaded`)) }));
  });
}
