// One line above the list: it is sampled, or it stands still.

import { byId, element } from "./element.js";
import { count } from "./format.js";

const SAMPLED_MS = 3000;

export class Notice {
  #place = byId("notice");
  #text = "";
  #until = 0;
  #timer = 0;

  /** More matched than could be shown. */
  sampled(perSecond) {
    this.#until = performance.now() + SAMPLED_MS;
    const speed = perSecond ? `${count(perSecond)} a second arrive` : "More arrive";
    this.#show(`Sampled: ${speed}, and about 20 of them, evenly picked, are shown. All are counted; pause or search to see them.`, "", "sampled");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#until && this.hide(), SAMPLED_MS);
  }

  /** Nothing is added; so many arrived meanwhile. */
  paused(since, resume) {
    this.#until = 0;
    const button = element("button.link", { type: "button", onclick: resume }, "Resume");
    this.#show(`Paused. ${count(since)} arrived since. `, "warn", "paused", button);
  }

  hide() {
    this.#until = 0;
    this.#text = "";
    this.#place.hidden = true;
  }

  #kind = "";

  #show(text, mood, kind, ...more) {
    if (text === this.#text) return;
    this.#text = text;
    this.#place.className = `notice ${mood}`;
    // A screen reader hears of a change of state, not of every number.
    this.#place.setAttribute("aria-live", kind === this.#kind && !this.#place.hidden ? "off" : "polite");
    this.#kind = kind;
    this.#place.hidden = false;
    if (kind === "paused" && this.#place.lastElementChild) this.#place.firstChild.textContent = text;
    else this.#place.replaceChildren(text, ...more);
  }
}
