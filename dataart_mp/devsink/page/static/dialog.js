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
  ["Enter", "show details"],
  ["Esc", "close details or clear the filter"],
  ["Space", "pause or resume"],
  ["1 2 3 4", "all, events, users, rejected"],
  ["f", "faults"],
  ["c", "clear"],
  ["t", "theme"],
];

export function help() {
  const rows = SHORTCUTS.flatMap(([keys, does]) => [element("dt", {}, ...keys.split(" ").flatMap((key) => [element("kbd", {}, key), " "])), element("dd", {}, does)]);
  const api = element("a", { href: "/_sink/openapi.json", target: "_blank" }, "/_sink/openapi.json");
  open("help", "Keyboard", element("dl.shortcuts", {}, ...rows), element("h3", {}, "For tests"), element("p.quiet", {}, "Tests can query everything that this page shows: ", api));
}
