// Whether what a page is fed from can be reached.
import { h } from "/static/dom.js";
import { clockText } from "/static/format.js";

const NAMES = { archive: "Archive", job: "Job" };

/** One label for each source: reached, or since when not. */
export function states(reach) {
  return Object.entries(reach).map(([name, { works, since_ms: since }]) =>
    works === null ? h("span", { class: "state" }, `${NAMES[name]}: not asked yet`)
      : works ? h("span", { class: "state good" }, NAMES[name])
        : h("span", { class: "state bad" }, `${NAMES[name]} out of reach since ${clockText(since)}: its figures are old`));
}
