// The number of events per key; a click filters by the key.

import { byId, element } from "./element.js";
import { count, hue } from "./format.js";
import { isVisible } from "./visible.js";

const SHOWN_MS = 300;

export class Keys {
  #latest = null;
  #timer = 0;
  #rows = new Map();

  constructor(filter) {
    this.filter = filter;
  }

  /** Delayed, because a list that changes ten times per second can be neither read nor clicked. */
  show(byKey, total) {
    this.#latest = [byKey, total];
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#draw(...this.#latest);
    }, SHOWN_MS);
  }

  /** @param byKey pairs of key and count, most frequent first @param total number of keys */
  #draw(byKey, total) {
    const most = byKey[0]?.[1] ?? 1;
    const rows = byKey.map(([key, number]) => this.#row(key, number, number / most));
    const list = byId("keys");
    // Rows that exist are kept, so that they keep the focus.
    rows.forEach((row, index) => list.children[index] !== row && list.insertBefore(row, list.children[index] ?? null));
    while (list.children.length > rows.length) list.lastElementChild.remove();
    if (total > byKey.length) list.append(element("li.more.quiet", {}, `and ${count(total - byKey.length)} more`));
    byId("keys-count").textContent = total ? count(total) : "";
    byId("known-keys").replaceChildren(...byKey.filter(([key]) => isVisible(key)).map(([key]) => element("option", { value: key })));
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
