// What a screen reader says, besides what it reads.

import { byId } from "./element.js";

export function announce(text) {
  const place = byId("announcement");
  // The same words twice would not be said again.
  place.textContent = place.textContent === text ? `${text}\u00a0` : text;
}
