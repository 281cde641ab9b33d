// New rows wait while the user reads further down: nothing moves, and a button shows how many there are.

import { announce } from "./announce.js";
import { byId } from "./element.js";
import { count } from "./format.js";

const HELD = 500;
// Pixels of the list that may be hidden before its top counts as out of sight.
const SLACK = 24;

export class Fresh {
  #button = byId("fresh");
  #held = [];
  #number = 0;

  #list = null;

  /** @param {Function} shown returns the list that is shown, an Arrivals or Rejected */
  constructor(shown) {
    this.shown = shown;
    this.#button.addEventListener("click", () => this.release());
    addEventListener("scroll", () => this.isAway || this.#addHeld(), { passive: true });
  }

  /** Whether the newest row is above what the user sees. */
  get isAway() {
    const { list } = this.shown().rows;
    return !list.hidden && list.getBoundingClientRect().top < byId("controls").getBoundingClientRect().bottom - SLACK;
  }

  /** Keep rows for later; `number`: how many arrived, those included that are not shown. */
  hold(rows, number) {
    if (!number) return;
    if (!this.#number) announce("New rows above; press n to see them");
    this.#list = this.shown();
    this.#held = [...this.#held, ...rows].slice(-HELD);
    this.#number += number;
    this.#button.querySelector(".label").textContent = `${count(this.#number)} new`;
    this.#button.hidden = false;
  }

  /** Add the rows that were kept, and go to the newest one. */
  release() {
    const hadFocus = document.activeElement === this.#button;
    this.#addHeld();
    this.top();
    if (hadFocus) this.shown().rows.list.querySelector("button")?.focus({ preventScroll: true });
  }

  /** Show the beginning of the list. */
  top() {
    if (this.isAway) this.shown().rows.list.scrollIntoView({ block: "start" });
  }

  /** Drop the rows that were kept, because the list is replaced. */
  drop() {
    this.#held = [];
    this.#number = 0;
    this.#button.hidden = true;
  }

  #addHeld() {
    if (!this.#number) return;
    const held = this.#held;
    this.drop();
    this.#list.add(held);
  }
}
