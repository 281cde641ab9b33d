// Announcements for screen readers.

import { byId } from "./element.js";

export function announce(text) {
  const place = byId("announcement");
  // A screen reader ignores a text that has not changed.
  place.textContent = place.textContent === text ? `${text}\u00a0` : text;
}
