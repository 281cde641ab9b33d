// Copying to the clipboard, with feedback.

import { announce } from "./announce.js";
import { element, icon } from "./element.js";

/** A button that copies the result of a function. */
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
    announce("The browser does not allow this page to copy");
    flash(caption, "Not allowed", label);
  }
}

function flash(caption, word, label) {
  if (!caption) return;
  caption.textContent = word;
  setTimeout(() => (caption.textContent = label), 1500);
}
