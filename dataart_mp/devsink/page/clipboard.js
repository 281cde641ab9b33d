// Copying, with a word about it.

import { announce } from "./announce.js";
import { element, icon } from "./element.js";

/** A button that copies what a function says. */
export function copyButton(label, text) {
  const caption = element("span", {}, label);
  return element("button", { type: "button", onclick: () => copy(text(), label, caption) }, icon("copy"), caption);
}

export async function copy(text, label, caption = null) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`${label}: copied`);
    flash(caption, "Copied", label);
  } catch {
    announce("The browser does not let this page copy");
    flash(caption, "Not allowed", label);
  }
}

function flash(caption, word, label) {
  if (!caption) return;
  caption.textContent = word;
  setTimeout(() => (caption.textContent = label), 1500);
}
