// The text of a search as the sink understands it, and where it is found in what the page shows.

import { element } from "./element.js";
import { stringify } from "./exact.js";

// A name and its value, a phrase, or a word; as in store/text.py.
const TERM = /([^\s:"]+):\s?("[^"]*"|\S+)|"([^"]+)"|(\S+)/g;
const ALIASES = { user: "user_key", anonymous: "is_anonymous_user" };

/** The text with ASCII letters in lower case, as the sink compares it; its length stays the same. */
const lower = (text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** The text as it appears within a JSON string. */
const inJson = (text) => stringify(text).slice(1, -1);

export class Search {
  #words = [];
  #fields = [];

  constructor(text = "") {
    const whole = lower(text.trim());
    if (whole) this.#words.push(whole);
    for (const [, name, value, phrase, word] of whole.matchAll(TERM)) {
      const wanted = value === undefined ? (phrase ?? word) : value.replace(/^"|"$/g, "") || value;
      this.#words.push(name === undefined ? wanted : `${name}:${wanted}`);
      if (name !== undefined) this.#fields.push({ name: ALIASES[name] ?? name, value: wanted });
    }
  }

  get isEmpty() {
    return !this.#words.length;
  }

  /**
   * The parts of a text, those that were searched for as <mark> elements.
   * @param text what is shown @param path dotted path of the field that it is the value of @param isJson whether a string is shown as JSON
   */
  mark(text, path = "", isJson = false) {
    if (this.isEmpty) return [text];
    const parts = [];
    let end = 0;
    for (const [from, to] of this.#found(lower(text), lower(path), isJson)) {
      if (to <= end) continue;
      const start = Math.max(from, end);
      parts.push(text.slice(end, start), element("mark", {}, text.slice(start, to)));
      end = to;
    }
    return [...parts, text.slice(end)].filter((part) => part !== "");
  }

  /** Whether a text, or the field that it is the value of, was searched for. */
  finds(text, path = "") {
    return !this.isEmpty && this.#found(lower(text), lower(path), true).length > 0;
  }

  #found(text, path, isJson) {
    const isString = !isJson || text.startsWith('"');
    const values = this.#fields.filter(({ name, value }) => (path === name || path.endsWith(`.${name}`)) && (isString || text === value));
    const found = [];
    for (const needle of [...this.#words, ...values.map(({ value }) => value)]) {
      const shown = isJson ? inJson(needle) : needle;
      for (let at = text.indexOf(shown); at >= 0; at = text.indexOf(shown, at + shown.length)) found.push([at, at + shown.length]);
    }
    return found.sort(([a, b], [c, d]) => a - c || d - b);
  }
}
