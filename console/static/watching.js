// Whether what a page is fed from can be reached.
import { h } from "/static/dom.js";
import { clockText } from "/static/format.js";

/** @type {Partial<Record<string, string>>} */
const NAMES = { archive: "Archive", job: "Job" };

/** One label for each source: reached, or since when not. @param {Reach} reach */
export function states(reach) {
  return Object.entries(reach).map(([name, { works, since_ms: since }]) => {
    const source = NAMES[name] ?? name;
    return works === null ? h("span", { class: "state" }, `${source}: not asked yet`)
      : works ? h("span", { class: "state good" }, source)
        : h("span", { class: "state bad" }, `${source} out of reach since ${clockText(since)}: its figures are old`);
  });
}
