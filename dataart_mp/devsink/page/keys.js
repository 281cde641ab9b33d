// How many events each key has; a click filters by it.

import { byId, element } from "./element.js";
import { count, hue } from "./format.js";

const SHOWN_MS = 300;

export class Keys {
  #news = null;
  #timer = 0;
  #rows = new Map();

  constructor(filter) {
    this.filter = filter;
  }

  /** Not at once: what changes ten times a second can neither be read nor clicked. */
  show(byKey, total) {
    this.#news = [byKey, total];
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#draw(...this.#news);
    }, SHOWN_MS);
  }

  /** @param byKey pairs of key and number, the most frequent first @param total of keys */
  #draw(byKey, total) {
    const most = byKey[0]?.[1] ?? 1;
    const rows = byKey.map(([key, number]) => this.#row(key, number, number / most));
    const list = byId("keys");
    // What is there stays, so that it keeps the focus.
    rows.forEach((row, index) => list.children[index] !== row && list.insertBefore(row, list.children[index] ?? null));
    while (list.children.length > rows.length) list.lastElementChild.remove();
    if (total > byKey.length) list.append(element("li.more.quiet", {}, `and ${count(total - byKey.length)} more`));
    byId("keys-count").textContent = total ? count(total) : "";
    byId("known-keys").replaceChildren(...byKey.map(([key]) => element("option", { value: key })));
  }

  #row(key, number, share) {
    const row = this.#rows.get(key) ?? this.#made(key);
    const button = row.firstElementChild;
    button.style.setProperty("--share", share);
    button.setAttribute("aria-pressed", this.filter.key === key);
    button.lastElementChild.textContent = count(number);
    return row;
  }

  #made(key) {
    const toggle = () => this.filter.set({ key: this.filter.key === key ? "" : key });
    const name = element("span.name", { title: key }, key);
    const row = element("li", {}, element("button", { type: "button", "--hue": hue(key), onclick: toggle }, name, element("span.number")));
    this.#rows.set(key, row);
    return row;
  }
}
