// JSON as a tree whose branches can be expanded and collapsed.

import { element } from "./element.js";
import { ExactNumber } from "./exact.js";
import { plural } from "./format.js";
import { Search } from "./search.js";
import { jsonString } from "./visible.js";

const SHOWN_AT_ONCE = 100;
const OPEN_LEVELS = 3;

const isLeaf = (value) => value === null || typeof value !== "object" || value instanceof ExactNumber;

/**
 * @param value what to show
 * @param {Search} search what to mark @param {{field: string, problem: string}[]} problems what is wrong with which path
 */
export function tree(value, search = new Search(), problems = []) {
  return new Tree(search, problems).whole(value);
}

class Tree {
  #search;
  #problems;

  constructor(search, problems) {
    this.#search = search;
    this.#problems = new Map(problems.map(({ field, problem }) => [field, problem]));
  }

  whole(value) {
    return isLeaf(value) ? this.#leaf(value, "") : element("ul.tree", {}, ...this.#branches(value, ""));
  }

  *#branches(value, path, level = 1) {
    const entries = Object.entries(value).map(([name, child]) => [name, child, below(path, name, Array.isArray(value))]);
    yield* this.#some(entries, level);
    // A field that is missing has no entry.
    for (const [field, problem] of this.#problems) {
      const name = field.slice(path ? path.length + 1 : 0);
      if (below(path, name) === field && /^\w+$/.test(name) && !Object.hasOwn(value, name)) yield element("li.wrong", {}, element("span.name", {}, name), why(problem));
    }
  }

  /** Some entries at once, and those with a problem. */
  *#some(entries, level) {
    const shown = entries.filter(([, , path], index) => index < SHOWN_AT_ONCE || this.#hasProblem(path));
    for (const [name, child, path] of shown) yield this.#branch(name, child, path, level);
    const left = entries.filter((entry) => !shown.includes(entry));
    if (!left.length) return;
    const more = element("button.link", { type: "button" }, `${plural(left.length, "more", "more")} …`);
    const line = element("li", {}, more);
    more.addEventListener("click", () => line.replaceWith(...this.#some(left, level)));
    yield line;
  }

  #branch(name, value, path, level) {
    const problem = this.#problems.get(path);
    const tag = problem === undefined ? "li" : "li.wrong";
    const label = element("span.name", {}, ...this.#search.mark(name));
    const reason = problem === undefined ? null : why(problem);
    if (isLeaf(value)) return element(tag, {}, label, this.#leaf(value, path), reason);
    const size = Object.keys(value).length;
    const about = Array.isArray(value) ? plural(size, "item", "items") : plural(size, "field", "fields");
    if (!size) return element(tag, {}, label, element("span.size", {}, Array.isArray(value) ? "[]" : "{}"), reason);
    const list = element("ul");
    const fill = () => list.childElementCount || list.append(...this.#branches(value, path, level + 1));
    const open = this.#problems.size ? this.#hasProblem(path) : level < OPEN_LEVELS && size <= SHOWN_AT_ONCE;
    if (open) fill();
    return element(tag, {}, element("details", { open, ontoggle: fill }, element("summary", {}, label, element("span.size", {}, about), reason), list));
  }

  #leaf(value, path) {
    if (typeof value === "string") return element("span.string", {}, ...this.#search.mark(jsonString(value), named(path), true));
    const number = typeof value === "number" || value instanceof ExactNumber;
    return element(number ? "span.number" : "span.word", {}, ...this.#search.mark(String(value), named(path), true));
  }

  /** Whether a path, or one below it, has a problem. */
  #hasProblem(path) {
    return [...this.#problems.keys()].some((field) => field.startsWith(path) && ["", ".", "["].includes(field.charAt(path.length)));
  }
}

/** The path of a name below a path, as the sink writes it: `actions[3].timestamp`. */
function below(path, name, isItem = false) {
  if (isItem) return `${path}[${name}]`;
  return path ? `${path}.${name}` : name;
}

/** The path without the places of items, as it is searched for. */
const named = (path) => path.replace(/\[\d+\]/g, "");

const why = (problem) => element("span.why", {}, problem);
