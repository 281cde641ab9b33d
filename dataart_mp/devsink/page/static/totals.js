// The counts since the start or the last reset.

import { byId, element } from "./element.js";
import { count } from "./format.js";

const TOTALS = [
  ["Events", (stats) => stats.actions],
  ["Identities", (stats) => stats.identities],
  ["Requests", (stats) => stats.requests],
  ["Duplicates", (stats) => stats.explained_duplicates + stats.unexplained_duplicates + stats.explained_identity_duplicates + stats.unexplained_identity_duplicates, "warn"],
  ["Rejected", (stats) => stats.rejected_requests, "bad"],
  ["Faulted", (stats) => stats.faulted_requests, "warn"],
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
