// Creates elements from text and other elements. Text never becomes HTML, and hides nothing.

import { visible } from "./visible.js";

// Attributes that a user reads or hears.
const SHOWN = ["title", "aria-label", "placeholder"];

/**
 * @param {string} tag "button" or "button.primary.wide"
 * @param {Object} attributes attributes; `on…` adds a listener, `--…` sets a style property, undefined and false are omitted
 * @param {...(Node|string|number|null|undefined|false)} children invisible characters of strings are shown as escapes
 */
export function element(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) made.style.setProperty(key, value);
    else made.setAttribute(key, value === true ? "" : SHOWN.includes(key) ? visible(value) : value);
  }
  const present = children.filter((child) => child !== null && child !== undefined && child !== false);
  made.append(...present.map((child) => (typeof child === "string" ? visible(child) : child)));
  return made;
}

export const byId = (id) => document.getElementById(id);

export const icon = (name) => element("span.icon", { "data-icon": name });
