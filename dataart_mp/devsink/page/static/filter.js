// The filter form; its values are kept in the address, so that they can be shared.

import { byId } from "./element.js";
import { Search } from "./search.js";

const NAMES = ["kind", "text", "key", "user_key", "duplicate"];
const TYPING_MS = 200;

export class Filter {
  #form = byId("filter");
  #timer = 0;
  #searched = "";
  #search = new Search();

  /** @param {Function} changed called after a change */
  constructor(changed) {
    this.changed = changed;
    this.#fill(Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
    this.#form.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#apply(), TYPING_MS);
    });
    this.#form.addEventListener("submit", (event) => event.preventDefault());
  }

  get kind() {
    return this.#form.elements.kind.value;
  }

  get key() {
    return this.#form.elements.key.value;
  }

  /** The filter as query parameters of the API. */
  get query() {
    const kind = ["actions", "identities"].includes(this.kind) ? { kind: this.kind } : {};
    const given = NAMES.slice(1).map((name) => [name, this.#form.elements[name].value]);
    return { ...kind, ...Object.fromEntries(given.filter(([, value]) => value)) };
  }

  get duplicate() {
    return this.#form.elements.duplicate.value;
  }

  /** What is searched for, to be marked in the rows. */
  get search() {
    const { value } = this.#form.elements.text;
    if (value !== this.#searched) [this.#searched, this.#search] = [value, new Search(value)];
    return this.#search;
  }

  get isOpen() {
    return this.kind === "all" && !Object.keys(this.query).length;
  }

  /** Whether only some items of the kind match. */
  get isNarrow() {
    return NAMES.slice(1).some((name) => this.query[name]);
  }

  set(values) {
    this.#fill({ ...Object.fromEntries(NAMES.map((name) => [name, this.#form.elements[name].value])), ...values });
    this.#apply();
  }

  clear() {
    this.set({ kind: "all", text: "", key: "", user_key: "", duplicate: "" });
  }

  #fill(values) {
    for (const name of NAMES) if (values[name] !== undefined) this.#form.elements[name].value = values[name];
  }

  #apply() {
    const shared = new URLSearchParams(this.query);
    if (this.kind !== "all") shared.set("kind", this.kind);
    history.replaceState(null, "", shared.size ? `#${shared}` : location.pathname);
    this.changed();
  }
}
