// Metadata as a tree whose branches can be expanded and collapsed.

import { element } from "./element.js";
import { ExactNumber } from "./exact.js";
import { plural } from "./format.js";
import { jsonString } from "./visible.js";

const SHOWN_AT_ONCE = 100;
const OPEN_LEVELS = 3;

export function tree(value) {
  if (value === null || typeof value !== "object" || value instanceof ExactNumber) return leaf(value);
  return element("ul.tree", {}, ...branches(value, 1));
}

function* branches(value, level, start = 0) {
  const entries = Object.entries(value);
  for (const [name, child] of entries.slice(start, start + SHOWN_AT_ONCE)) yield branch(name, child, level);
  const left = entries.length - start - SHOWN_AT_ONCE;
  if (left > 0) {
    const more = element("button.link", { type: "button" }, `${plural(left, "more", "more")} …`);
    const line = element("li", {}, more);
    more.addEventListener("click", () => line.replaceWith(...branches(value, level, start + SHOWN_AT_ONCE)));
    yield line;
  }
}

function branch(name, value, level) {
  const label = element("span.name", {}, name);
  if (value === null || typeof value !== "object" || value instanceof ExactNumber) return element("li", {}, label, leaf(value));
  const size = Object.keys(value).length;
  const about = Array.isArray(value) ? plural(size, "item", "items") : plural(size, "field", "fields");
  if (!size) return element("li", {}, label, element("span.size", {}, Array.isArray(value) ? "[]" : "{}"));
  const list = element("ul");
  const fill = () => list.childElementCount || list.append(...branches(value, level + 1));
  const open = level < OPEN_LEVELS && size <= SHOWN_AT_ONCE;
  if (open) fill();
  return element("li", {}, element("details", { open, ontoggle: fill }, element("summary", {}, label, element("span.size", {}, about)), list));
}

function leaf(value) {
  if (typeof value === "string") return element("span.string", {}, jsonString(value));
  if (typeof value === "number" || value instanceof ExactNumber) return element("span.number", {}, String(value));
  return element("span.word", {}, String(value));
}
