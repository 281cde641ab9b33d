// Dialogs: a head with a title and a way out; a click beside one closes it.

import { byId, element, icon } from "./element.js";

export function open(id, title, ...content) {
  const dialog = byId(id);
  const close = element("button.square", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  dialog.replaceChildren(element("header", {}, element("h2", { id: `${id}-title` }, title), close), ...content);
  // With braces: a handler that returns false would keep the form from being sent.
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  dialog.showModal();
  return dialog;
}

/** Ask before something is lost. */
export function confirm(title, text, verb, act) {
  const dialog = open(
    "confirm",
    title,
    element("p.quiet", {}, text),
    element(
      "div.buttons",
      {},
      element("button", { type: "button", onclick: () => dialog.close() }, "Keep"),
      element("button.primary", { type: "button", autofocus: true, onclick: () => (dialog.close(), act()) }, verb),
    ),
  );
}

const SHORTCUTS = [
  ["/", "search"],
  ["j ↓", "the next one"],
  ["k ↑", "the one before"],
  ["Enter", "show all about it"],
  ["Esc", "close, or clear the filter"],
  ["Space", "pause or resume"],
  ["1 2 3 4", "all, events, users, rejected"],
  ["f", "faults"],
  ["c", "clear"],
  ["t", "theme"],
];

export function help() {
  const rows = SHORTCUTS.flatMap(([keys, does]) => [element("dt", {}, ...keys.split(" ").flatMap((key) => [element("kbd", {}, key), " "])), element("dd", {}, does)]);
  const api = element("a", { href: "/_sink/openapi.json", target: "_blank" }, "/_sink/openapi.json");
  open("help", "Keyboard", element("dl.shortcuts", {}, ...rows), element("h3", {}, "For tests"), element("p.quiet", {}, "All that is seen here can be asked for: ", api));
}
