// The editor of a rule: CodeMirror 6 with highlighting, completion of what conditions may use, and the place of each fault.
// It lives in a shadow root, where CodeMirror adopts its styles as objects: the content security policy refuses style elements.
import { autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { Decoration, EditorView, MatchDecorator, ViewPlugin, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { h } from "/static/dom.js";

/** @import { CompletionContext, CompletionResult } from "@codemirror/autocomplete" */
/** @import { ViewUpdate } from "@codemirror/view" */

const KEYS = ["id", "description", "when", "about", "outcome", "severity", "reason", "text", "purpose", "owner", "tags", "suppressible", "state"];
const WORDS = ["AND", "OR", "NOT", "IN", "BETWEEN", "IS NULL", "IS NOT NULL", "true", "false"];
/** @type {Partial<Record<string, string[]>>} */
const CHOICES = { outcome: ["review", "decline"], purpose: ["campaign", "regulation", "hygiene"], state: ["draft"], suppressible: ["true", "false"], about: ["payments", "money_back", "account_checks"] };

const look = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--raised)", border: "1px solid var(--line-strong)", borderRadius: "6px", fontSize: ".9rem" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "2px" },
  ".cm-scroller": { fontFamily: 'ui-monospace, "DejaVu Sans Mono", monospace', lineHeight: "1.5", minHeight: "19rem" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--text-soft)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent", boxShadow: "inset 2px 0 0 var(--accent)" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line-strong)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: ".8" },
  ".cm-lint-marker-error": { content: '"●"', color: "var(--bad)", width: "1em", height: "1em", lineHeight: "1" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)" },
  ".cm-field": { color: "var(--series-1)" },
  ".cm-function": { color: "var(--series-4)" },
  ".cm-word": { color: "var(--series-2)", fontWeight: "600" },
});
const colours = syntaxHighlighting(HighlightStyle.define([
  { tag: tags.definition(tags.propertyName), color: "var(--text-soft)" },
  { tag: tags.comment, color: "var(--text-soft)", fontStyle: "italic" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--series-3)" },
]));

/** Marks fields, functions and words of conditions. @param {Vocabulary} vocabulary */
function conditions({ fields, functions }) {
  const [field, called, word] = ["cm-field", "cm-function", "cm-word"].map((name) => Decoration.mark({ class: name }));
  const known = new Map(fields.map(({ name }) => [name, field]));
  for (const name of functions) known.set(name, called);
  const matcher = new MatchDecorator({ regexp: /\b[A-Za-z_][A-Za-z0-9_]*\b/g,
    decorate: (add, from, to, [found]) => { const mark = known.get(found) ?? (/^(AND|OR|NOT|IN|BETWEEN|IS|NULL)$/.test(found) ? word : null); if (mark) add(from, to, mark); } });
  return ViewPlugin.define((view) => ({ marks: matcher.createDeco(view), update(/** @type {ViewUpdate} */ change) { this.marks = matcher.updateDeco(change, this.marks); } }), { decorations: (plugin) => plugin.marks });
}

/** Completes keys at the beginning of a line, choices behind a key or a comparison, and fields and functions elsewhere. @param {Vocabulary} vocabulary */
function completion({ fields, functions }) {
  const asFields = fields.map((field) => ({ label: field.name, type: "variable", detail: field.choices.length ? "choice" : field.kind, info: field.choices.join(", ") || undefined }));
  const all = [...asFields, ...functions.map((name) => ({ label: name, type: "function", apply: `${name}(` })), ...WORDS.map((label) => ({ label, type: "keyword" }))];
  const choices = new Map(fields.filter((field) => field.choices.length).map((field) => [field.name, field.choices]));
  /** @param {CompletionContext} context @returns {CompletionResult | null} */
  return (context) => {
    const line = context.state.doc.lineAt(context.pos), before = line.text.slice(0, context.pos - line.from);
    const word = context.matchBefore(/[\w-]*/) ?? { from: context.pos, text: "" };
    const options = (/** @type {string[]} */ labels) => ({ from: word.from, options: labels.map((label) => ({ label, type: "constant" })), validFor: /^[\w-]*$/ });
    const compared = before.match(/(\w+)\s*(?:=|!=|<>|IN\s*\()\s*["']?[\w, '"]*$/i);
    const allowed = compared && choices.get(compared[1]);
    if (allowed) return options(allowed);
    const chosen = CHOICES[before.match(/^\s*-?\s*(\w+):\s*\[?[\w, ]*$/)?.[1] ?? ""];
    if (chosen) return options(chosen);
    if (/^\s*-?\s*\w*$/.test(before)) return context.explicit || word.text ? { from: word.from, options: KEYS.map((label) => ({ label, type: "property", apply: `${label}: ` })) } : null;
    return context.explicit || word.text ? { from: word.from, options: all, validFor: /^\w*$/ } : null;
  };
}

/** Where a fault is: its line and column of YAML, the key and column or the rule's id that it names, else the first line. @param {string} fault @param {string} text */
export function placeOf(fault, text) {
  const lines = text.split("\n"), within = (/** @type {number} */ line, /** @type {number} */ column) => ({ line: Math.min(Math.max(line, 0), lines.length - 1), column });
  const written = fault.match(/line (\d+), column (\d+)/g)?.at(-1)?.match(/\d+/g);
  if (written) return within(Number(written[0]) - 1, Number(written[1]) - 1);
  for (const [, key, column] of fault.matchAll(/(?:^|[\s.])(\w+): (?:column (\d+)|(?!.*: ))/g)) {
    const line = lines.findIndex((one) => new RegExp(`^\\s*-?\\s*${key}:`).test(one));
    if (line >= 0) return within(line, column ? lines[line].indexOf(`${key}:`) + key.length + 1 + lines[line].split(`${key}:`)[1].search(/\S/) + Number(column) - 1 : lines[line].indexOf(key));
  }
  const named = lines.findIndex((line) => { const id = line.match(/^\s*-?\s*id:\s*["']?([\w-]+)/)?.[1]; return id && fault.split(/[^\w-]+/).includes(id); });
  return named < 0 ? within(0, 0) : within(named, lines[named].indexOf("id:") + lines[named].split("id:")[1].search(/[\w-]/) + 3);
}

/**
 * `element` to show, `value` as it is, `showFaults` to mark their places.
 *
 * @param {{ value: string, label: string, vocabulary: Vocabulary, onchange: () => unknown }} editor
 */
export function ruleEditor({ value, label, vocabulary, onchange }) {
  const element = h("div", { class: "rule-editor" }), root = element.attachShadow({ mode: "open" });
  const view = new EditorView({ root, parent: root, state: EditorState.create({ doc: value, extensions: [
    lineNumbers(), lintGutter(), history(), bracketMatching(), closeBrackets(), highlightActiveLine(), EditorView.lineWrapping, yaml(), colours, look, conditions(vocabulary),
    autocompletion({ override: [completion(vocabulary)] }), keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap, ...lintKeymap]),
    EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }), EditorView.updateListener.of((change) => { if (change.docChanged) onchange(); }),
  ] }) });
  return {
    element,
    get value() { return view.state.doc.toString(); },
    /** @param {string[]} faults */
    showFaults(faults) {
      const doc = view.state.doc;
      view.dispatch(setDiagnostics(view.state, faults.map((message) => {
        const place = placeOf(message, doc.toString()), line = doc.line(place.line + 1), from = Math.min(line.from + Math.max(place.column, 0), line.to);
        return { from, to: Math.max(from, view.state.wordAt(from)?.to ?? line.to), severity: "error", message };
      })));
    },
  };
}
