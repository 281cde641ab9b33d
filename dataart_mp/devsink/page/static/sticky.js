// The heights of what stays visible while the page scrolls, for the style sheets.

import { byId } from "./element.js";

/** Keep the style properties `--bar` and `--controls` equal to the heights of these two. */
export function measure() {
  for (const id of ["bar", "controls"]) {
    const watch = () => document.documentElement.style.setProperty(`--${id}`, `${byId(id).offsetHeight}px`);
    new ResizeObserver(watch).observe(byId(id));
    watch();
  }
}
