// Keyboard shortcuts, which are inactive while the user types.

import { byId } from "./element.js";

/** @param {Object<string, Function>} actions functions by name of the key */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target;
    const types = target.matches("textarea, select, input:not([type=radio])");
    if (types) {
      if (event.key === "Escape") target.blur();
      else return;
    }
    // The space bar presses a focused button; Enter opens a row of the list.
    if (event.key === " " && target.matches("button:not(.row), summary, a")) return;
    if (event.key.startsWith("Arrow") && target.matches("input")) return;
    const act = actions[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

export const focusSearch = () => {
  byId("text").focus();
  byId("text").select();
};
