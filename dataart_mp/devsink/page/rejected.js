// The list of wrong requests, newest first.

import { byId, element } from "./element.js";
import { count, timeOfDay } from "./format.js";
import { Rows } from "./rows.js";

const SHOWN = 200;

export class Rejected {
  #known = new Set();

  constructor(opened) {
    this.opened = opened;
    this.rows = new Rows(byId("rejected"));
  }

  get size() {
    return this.#known.size;
  }

  replace(visits) {
    this.#known.clear();
    this.rows.clear();
    this.add(visits);
  }

  add(visits) {
    for (const visit of visits) {
      if (this.#known.has(visit.number)) continue;
      this.#known.add(visit.number);
      this.rows.prepend(this.#row(visit));
    }
    while (this.rows.list.children.length > SHOWN) this.rows.list.lastElementChild.remove();
  }

  total(number) {
    byId("rejected-count").textContent = count(number);
    byId("rejected-count").hidden = !number;
  }

  #row(visit) {
    const button = element(
      "button.row.wrong",
      { type: "button", onclick: () => this.rows.choose(button, () => this.opened(visit)) },
      element("span.time", {}, timeOfDay(visit.time)),
      element("span.status", {}, String(visit.status)),
      element("span.where", {}, element("code", {}, visit.field)),
      element("span.preview", {}, problem(visit)),
    );
    return element("li", {}, button);
  }
}

/** What is wrong, without the path of the field. */
export function problem({ error, field }) {
  return error.startsWith(`${field}: `) ? error.slice(field.length + 2) : error;
}
