// The theme: light, dark, or that of the system.

import { announce } from "./announce.js";
import { byId } from "./element.js";

const THEMES = ["system", "light", "dark"];

export class Theme {
  /** @param {Function} changed called after a change of colours */
  constructor(changed) {
    this.changed = changed;
    this.#show(localStorage.getItem("theme") ?? "system");
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    byId("theme").addEventListener("click", () => this.next());
  }

  next() {
    const name = THEMES[(THEMES.indexOf(this.name) + 1) % THEMES.length];
    localStorage.setItem("theme", name);
    this.#show(name);
    announce(`Theme: ${name}`);
    this.changed();
  }

  #show(name) {
    this.name = name;
    document.documentElement.dataset.theme = name;
    const label = `Theme: ${name} (t)`;
    byId("theme").title = label;
    byId("theme").setAttribute("aria-label", label);
  }
}
