// The list of rejected requests, newest first.

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

  replace(requests) {
    this.#known.clear();
    this.rows.clear();
    this.add(requests);
  }

  add(requests) {
    for (const request of requests) {
      if (this.#known.has(request.number)) continue;
      this.#known.add(request.number);
      this.rows.prepend(this.#row(request));
    }
    while (this.rows.list.children.length > SHOWN) this.rows.list.lastElementChild.remove();
  }

  total(number) {
    byId("rejected-count").textContent = count(number);
    byId("rejected-count").hidden = !number;
  }

  #row(request) {
    const others = request.errors.length - 1 + request.more_errors;
    const button = element(
      "button.row.wrong",
      { type: "button", onclick: () => this.rows.choose(button, () => this.opened(request)) },
      element("span.time", {}, timeOfDay(request.time)),
      element("span.status", {}, String(request.status)),
      element("span.where", {}, element("code", {}, request.field), others > 0 && element("span.tag", {}, `+${count(others)}`, element("span.unseen", {}, " more"))),
      element("span.preview", {}, request.errors[0].problem),
    );
    return element("li", {}, button);
  }
}
