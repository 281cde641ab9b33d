// How many events each key has; a click filters by it.

import { byId, element } from "./element.js";
import { count, hue } from "./format.js";

const SHOWN_SECONDS = 0.5;

export class Keys {
  #shown = "";
  #time = 0;
  #rows = new Map();

  constructor(filter) {
    this.filter = filter;
  }

  /** @param byKey pairs of key and number, the most frequent first @param total of keys */
  show(byKey, total) {
    const now = performance.now() / 1000;
    const state = JSON.stringify(byKey) + this.filter.key;
    if (state === this.#shown || (now - this.#time < SHOWN_SECONDS && byKey.length)) return;
    this.#shown = state;
    this.#time = now;
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
