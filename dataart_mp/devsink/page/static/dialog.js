// Dialogs with a title and a close button; a click outside closes one too.

import { byId, element, icon } from "./element.js";

export function open(id, title, ...content) {
  const dialog = byId(id);
  const close = element("button.square", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  dialog.replaceChildren(element("header", {}, element("h2", { id: `${id}-title` }, title), close), ...content);
  // In braces, because a handler that returns false would prevent the submit of a form.
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  dialog.showModal();
  return dialog;
}

/** Ask for confirmation before data is deleted. */
export function confirm(title, text, verb, act) {
  const dialog = open(
    "confirm",
    title,
    element("p.quiet", {}, text),
    element(
      "div.buttons",
      {},
      element("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      element("button.primary", { type: "button", autofocus: true, onclick: () => (dialog.close(), act()) }, verb),
    ),
  );
}

const SHORTCUTS = [
  ["/", "search"],
  ["j ↓", "next row"],
  ["k ↑", "previous row"],
  ["n", "newest row"],
  ["Enter", "show details"],
  ["Esc", "close details or clear the filter"],
  ["Space", "pause or resume"],
  ["1 2 3 4", "all, events, users, rejected"],
  ["f", "faults"],
  ["c", "clear"],
  ["t", "theme"],
];

const SEARCHES = [
  ["song bach", "both words, in a key or in metadata"],
  ['"nina simone"', "these words in this order"],
  ["dest:SFO", "the field dest contains SFO, at any depth"],
  ["leg.dest:SFO", "the field dest of leg"],
  ["flight:15", "the number 15, and not 1545"],
  ["user:ann late:true", "both"],
];

export function help() {
  const rows = SHORTCUTS.flatMap(([keys, does]) => [element("dt", {}, ...keys.split(" ").flatMap((key) => [element("kbd", {}, key), " "])), element("dd", {}, does)]);
  const searches = SEARCHES.flatMap(([text, finds]) => [element("dt", {}, element("code", {}, text)), element("dd", {}, finds)]);
  const api = element("a", { href: "/_sink/openapi.json", target: "_blank" }, "/_sink/openapi.json");
  open("help", "Keyboard", element("dl.shortcuts", {}, ...rows), element("h3", {}, "Search"), element("dl.shortcuts", {}, ...searches), element("h3", {}, "For tests"), element("p.quiet", {}, "Tests can query everything that this page shows: ", api));
}
