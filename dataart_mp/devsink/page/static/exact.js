// JSON whose numbers keep their digits as sent: JavaScript would change 9007199254740993 and 1.0.
// Needs `context.source` (all browsers since 2025); without it, numbers are those of JavaScript.

import { jsonString } from "./visible.js";

export class ExactNumber {
  constructor(source) {
    this.source = source;
  }

  valueOf() {
    return Number(this.source);
  }

  toString() {
    return this.source;
  }
}

export function parse(text) {
  return JSON.parse(text, (_name, value, context) => {
    const source = context?.source;
    const differs = typeof value === "number" && source !== undefined && String(value) !== source;
    return differs ? new ExactNumber(source) : value;
  });
}

/** The value as JSON; `indent`: spaces per level, 0: all on one line. */
export function stringify(value, indent = 0, level = 0) {
  if (value instanceof ExactNumber) return value.source;
  if (typeof value === "string") return jsonString(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const parts = Array.isArray(value)
    ? value.map((item) => stringify(item, indent, level + 1))
    : Object.entries(value).map(
        ([name, item]) => `${jsonString(name)}: ${stringify(item, indent, level + 1)}`,
      );
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!parts.length) return open + close;
  if (!indent) return open + parts.join(", ") + close;
  const inner = "\n" + " ".repeat(indent * (level + 1));
  return open + inner + parts.join("," + inner) + "\n" + " ".repeat(indent * level) + close;
}
