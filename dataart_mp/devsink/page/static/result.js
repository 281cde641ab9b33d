// The line that says how many items match the filter, and which duplicates are shown.

import { announce } from "./announce.js";
import { byId } from "./element.js";
import { count, plural } from "./format.js";

const ONLY = { any: "Only duplicates", explained: "Only explained duplicates", unexplained: "Only unexplained duplicates" };

export class Result {
  #matched = null;
  #isExact = true;

  constructor(filter) {
    this.filter = filter;
    byId("only").addEventListener("click", () => filter.set({ duplicate: "" }));
    byId("show-all").addEventListener("click", () => filter.clear());
  }

  /** A search has found so many items; null: at least those that are shown. */
  found(matched, shown) {
    this.#isExact = matched !== null;
    this.#matched = matched ?? shown;
    if (this.#isVisible) announce(this.#text);
  }

  /** Further items that match have arrived. */
  added(matched) {
    if (this.#matched !== null) this.#matched += matched;
  }

  /** The filter has changed; nothing is known until the search is done. */
  clear() {
    this.#matched = null;
  }

  /** @param shown number of rows */
  show(shown) {
    byId("result").hidden = !this.#isVisible;
    const { duplicate } = this.filter;
    byId("only").hidden = !duplicate;
    byId("only").querySelector(".label").textContent = ONLY[duplicate] ?? "";
    byId("only").setAttribute("aria-label", `${ONLY[duplicate]}: remove this filter`);
    const rest = this.#matched > shown ? `, the newest ${count(shown)} are shown` : "";
    byId("matches").textContent = this.#matched === null ? "Searching" : `${this.#text}${shown ? rest : ""}`;
  }

  get #isVisible() {
    return this.filter.kind !== "rejected" && this.filter.isNarrow;
  }

  get #text() {
    const matches = plural(this.#matched, "match", "matches");
    return this.#isExact ? matches : `More than ${matches}`;
  }
}
