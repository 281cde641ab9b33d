// The counts since the start or the last reset; some lead to what they count.

import { byId, element } from "./element.js";
import { count } from "./format.js";

const explained = (stats) => stats.explained_duplicates + stats.explained_identity_duplicates;
const unexplained = (stats) => stats.unexplained_duplicates;

const TOTALS = [
  { name: "Events", number: (stats) => stats.actions, filter: { kind: "actions" } },
  { name: "Identities", number: (stats) => stats.identities, filter: { kind: "identities" } },
  { name: "Requests", number: (stats) => stats.requests },
  {
    name: "Duplicates",
    number: (stats) => explained(stats) + unexplained(stats),
    filter: { kind: "all", duplicate: "any" },
    mood: "warn",
    moods: unexplained,
    parts: [
      { name: "explained", number: explained, filter: { kind: "all", duplicate: "explained" } },
      { name: "unexplained", number: unexplained, filter: { kind: "all", duplicate: "unexplained" } },
    ],
  },
  { name: "Rejected", number: (stats) => stats.rejected_requests, filter: { kind: "rejected" }, mood: "bad" },
  { name: "Faulted", number: (stats) => stats.faulted_requests, mood: "warn" },
];
const CLEARED = { text: "", key: "", user_key: "", duplicate: "" };

export class Totals {
  #boxes;

  /** @param filter set by a click on a count */
  constructor(filter) {
    this.#boxes = TOTALS.map((total) => new Total(total, filter));
    byId("totals").append(...this.#boxes.map(({ place }) => place));
  }

  show(stats) {
    for (const box of this.#boxes) box.show(stats);
  }
}

class Total {
  #value;
  #parts;

  constructor(total, filter) {
    this.total = total;
    this.#value = total.filter ? link("button.number", filter, total.filter) : element("span");
    this.#parts = (total.parts ?? []).map((part) => ({ ...part, button: link("button.part", filter, part.filter) }));
    const parts = total.parts && element("span.parts", {}, ...this.#parts.map(({ button }) => button));
    this.place = element(parts ? "div.with-parts" : "div", {}, element("dt", {}, element("span", {}, total.name), parts), element("dd", {}, this.#value));
  }

  show(stats) {
    const { name, number, mood, moods = number } = this.total;
    const now = number(stats);
    this.#value.textContent = count(now);
    if (this.total.filter) this.#value.setAttribute("aria-label", `${count(now)} ${name.toLowerCase()}: show them`);
    if (mood) this.place.classList.toggle(mood, moods(stats) > 0);
    this.place.classList.toggle("some", now > 0);
    for (const { button, name: part, number: ofPart } of this.#parts) {
      button.textContent = `${count(ofPart(stats))} ${part}`;
      button.disabled = !ofPart(stats);
    }
  }
}

function link(tag, filter, values) {
  return element(tag, { type: "button", title: "Show them", onclick: () => filter.set({ ...CLEARED, ...values }) });
}
