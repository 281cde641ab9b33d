// The list of arrivals, newest first.

import { byId, element } from "./element.js";
import { ExactNumber, stringify } from "./exact.js";
import { duration, hue, lag, timeOfDay } from "./format.js";
import { Rows } from "./rows.js";
import { visible } from "./visible.js";

const SHOWN = 500;
const PREVIEW_CHARACTERS = 300;

export class Arrivals {
  /** @param {Function} opened called with the arrival whose details are to be shown */
  constructor(opened) {
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
    const button = element(
      "button.row",
      { type: "button", onclick: () => this.rows.choose(button, () => this.opened(arrival)) },
      element("span.time", {}, timeOfDay(arrival.time)),
      element("span.what", {}, keyBadge(arrival), duplicate && duplicateTag(duplicate)),
      element("span.who", {}, element("b", {}, item.user_key), item.is_anonymous_user ? element("span.tag", { title: "anonymous user" }, "anon", element("span.unseen", {}, "ymous")) : null),
      element("span.preview", {}, ...preview(item.metadata)),
      element("span.lag", {}, late === null ? "" : element("span.unseen", {}, "lag "), late === null ? "" : duration(late)),
    );
    return element(isNew ? "li.new" : "li", {}, button);
  }
}

export function keyBadge({ kind, item }) {
  if (kind === "identities") return element("span.key.user", {}, "identify");
  return element("span.key", { "--hue": hue(item.key), title: item.key }, item.key);
}

export function duplicateTag(duplicate) {
  return duplicate === "explained"
    ? element("span.tag", { title: "It arrived before; the client repeated the request" }, "repeated")
    : element("span.tag.unexplained", { title: "It arrived before, in another request" }, "duplicate");
}

/** The beginning of a long text, without half of a character; other values unchanged. */
const shortened = (value, length) => (typeof value === "string" && value.length > length ? `${[...value.slice(0, length)].slice(0, -1).join("")}…` : value);

/** The first names and values of metadata, for one line. */
function preview(metadata) {
  const parts = [];
  let left = PREVIEW_CHARACTERS;
  for (const [name, value] of Object.entries(metadata ?? {})) {
    if (left < 0) break;
    const isPlain = value === null || typeof value !== "object" || value instanceof ExactNumber;
    const text = isPlain ? stringify(shortened(value, left)) : Array.isArray(value) ? `[${value.length}]` : "{…}";
    const label = visible(shortened(name, left));
    parts.push(element("bdi", {}, label), " ", element("i", {}, text), "  ");
    left -= label.length + text.length;
  }
  return parts;
}
