// The counts since the start or since everything was cleared.

import { byId, element } from "./element.js";
import { count } from "./format.js";

const TOTALS = [
  ["Events", (stats) => stats.actions],
  ["Identified", (stats) => stats.identities],
  ["Requests", (stats) => stats.requests],
  ["Doubles", (stats) => stats.explained_doubles + stats.unexplained_doubles + stats.explained_identity_doubles + stats.unexplained_identity_doubles, "warn"],
  ["Rejected", (stats) => stats.rejected_requests, "bad"],
  ["Made to fail", (stats) => stats.faulted_requests, "warn"],
];

export class Totals {
  #numbers = TOTALS.map(([name, number, mood]) => {
    const value = element("dd", {}, "0");
    const box = element("div", {}, element("dt", {}, name), value);
    byId("totals").append(box);
    return { value, box, number, mood };
  });

  show(stats) {
    for (const { value, box, number, mood } of this.#numbers) {
      const now = number(stats);
      value.textContent = count(now);
      if (mood) box.classList.toggle(mood, now > 0);
    }
  }
}
