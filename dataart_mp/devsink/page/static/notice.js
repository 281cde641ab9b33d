// The line above the list that reports that it is sampled or paused.

import { byId, element } from "./element.js";
import { count } from "./format.js";
import { visible } from "./visible.js";

const SAMPLED_MS = 3000;

export class Notice {
  #place = byId("notice");
  #text = "";
  #until = 0;
  #timer = 0;

  /** More items matched than can be shown. */
  sampled(perSecond) {
    this.#until = performance.now() + SAMPLED_MS;
    const speed = perSecond ? `${count(perSecond)} items per second arrive, more` : "more items arrive";
    this.#show(`Sampled: ${speed} than can be read; about 20 per second are shown. All are counted; pause or search to see them.`, "", "sampled");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#until && this.hide(), SAMPLED_MS);
  }

  /** The list is paused; `since` items arrived meanwhile. */
  paused(since, resume) {
    this.#until = 0;
    const button = element("button.link", { type: "button", onclick: resume }, "Resume");
    this.#show(`Paused. ${count(since)} arrived since. `, "warn", "paused", button);
  }

  /** Something could not be done; stays until the filter changes. */
  problem(text) {
    this.#until = 0;
    this.#show(visible(text), "warn", "problem");
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
    // Screen readers announce a change of state, not every number.
    this.#place.setAttribute("aria-live", kind === this.#kind && !this.#place.hidden ? "off" : "polite");
    this.#kind = kind;
    this.#place.hidden = false;
    if (kind === "paused" && this.#place.lastElementChild) this.#place.firstChild.textContent = text;
    else this.#place.replaceChildren(text, ...more);
  }
}
