// The list of arrivals, newest first.

import { byId, element } from "./element.js";
import { ExactNumber, stringify } from "./exact.js";
import { duration, hue, lag, timeOfDay } from "./format.js";
import { Rows } from "./rows.js";
import { Search } from "./search.js";

const SHOWN = 500;
const PREVIEW_CHARACTERS = 300;

export class Arrivals {
  /** @param filter what is searched for @param {Function} opened called with the arrival whose details are to be shown */
  constructor(filter, opened) {
    this.filter = filter;
    this.opened = opened;
    this.rows = new Rows(byId("arrivals"));
    this.#clear();
  }

  get size() {
    return this.#known.size;
  }

  #known;
  #capacity;

  /** Replace the list; arrivals are ordered oldest first. */
  replace(arrivals) {
    this.#clear();
    this.#capacity = Math.max(SHOWN, arrivals.length);
    this.add(arrivals, false);
  }

  /** Add arrivals, oldest first. */
  add(arrivals, isNew = true) {
    for (const arrival of arrivals) {
      const name = `${arrival.kind} ${arrival.number}`;
      if (this.#known.has(name)) continue;
      const row = this.#row(arrival, isNew);
      this.#known.set(name, row);
      this.rows.prepend(row);
    }
    for (const [name, row] of this.#known) {
      if (this.#known.size <= this.#capacity) break;
      this.#known.delete(name);
      row.remove();
    }
  }

  #clear() {
    this.#known = new Map();
    this.#capacity = SHOWN;
    this.rows.clear();
  }

  #row(arrival, isNew) {
    const { item, duplicate } = arrival;
    const late = lag(arrival);
    const { search } = this.filter;
    const button = element(
      "button.row",
      { type: "button", onclick: () => this.rows.choose(button, () => this.opened(arrival)) },
      element("span.time", {}, timeOfDay(arrival.time)),
      element("span.what", {}, keyBadge(arrival, search), duplicate && duplicateTag(duplicate)),
      element("span.who", {}, element("b", {}, ...search.mark(item.user_key, "user_key")), item.is_anonymous_user ? element("span.tag", { title: "anonymous user" }, "anon", element("span.unseen", {}, "ymous")) : null),
      element("span.preview", {}, ...preview(item.metadata, search)),
      element("span.lag", {}, late === null ? "" : element("span.unseen", {}, "lag "), late === null ? "" : duration(late)),
    );
    return element(isNew ? "li.new" : "li", {}, button);
  }
}

export function keyBadge({ kind, item }, search = new Search()) {
  if (kind === "identities") return element("span.key.user", {}, "identify");
  return element("span.key", { "--hue": hue(item.key), title: item.key }, ...search.mark(item.key, "key"));
}

export function duplicateTag(duplicate) {
  const tag = duplicate === "explained" ? "span.tag" : "span.tag.unexplained";
  return element(tag, { title: DUPLICATES[duplicate] }, element("span.unseen", {}, "duplicate, "), duplicate);
}

export const DUPLICATES = {
  explained: "The client sent an accepted request again, with the same Idempotency-Key and content",
  unexplained: "The same content arrived before, and no repeated request explains it",
};

/** The beginning of a long text, without half of a character; other values unchanged. */
const shortened = (value, length) => (typeof value === "string" && value.length > length ? `${[...value.slice(0, length)].slice(0, -1).join("")}…` : value);

const isPlain = (value) => value === null || typeof value !== "object" || value instanceof ExactNumber;

/** The first names and values of metadata, for one line; those that were searched for come first. */
function preview(metadata, search) {
  const parts = [];
  let left = PREVIEW_CHARACTERS;
  for (const [name, value] of entries(metadata ?? {}, search)) {
    if (left < 0) break;
    const text = isPlain(value) ? stringify(shortened(value, left)) : Array.isArray(value) ? `[${value.length}]` : "{…}";
    const label = shortened(name, left);
    parts.push(element("bdi", {}, ...search.mark(label)), " ", element("i", {}, ...search.mark(text, name, true)), "  ");
    left -= label.length + text.length;
  }
  return parts;
}

function entries(metadata, search) {
  const all = Object.entries(metadata);
  if (search.isEmpty) return all;
  const found = new Map(all.map(([name, value]) => [name, foundIn(name, value, search)]));
  return [...[...found.values()].filter(Boolean), ...all.filter(([name]) => !found.get(name))];
}

/** The path and value of the first field below a name that was searched for. */
function foundIn(path, value, search) {
  if (isPlain(value)) return search.finds(path) || search.finds(stringify(value), path) ? [path, value] : null;
  for (const [name, inner] of Object.entries(value)) {
    const found = foundIn(Array.isArray(value) ? path : `${path}.${name}`, inner, search);
    if (found) return found;
  }
  return search.finds(path) ? [path, value] : null;
}
