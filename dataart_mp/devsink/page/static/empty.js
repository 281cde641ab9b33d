// The text shown instead of an empty list.

import { copyButton } from "./clipboard.js";
import { byId, element } from "./element.js";
import { plural } from "./format.js";
import { firstEvent } from "./snippet.js";

export class Empty {
  #place = byId("empty");

  /** Nothing has been accepted yet. @param rejected number of rejected requests @param {Function} showRejected shows them */
  first(anyKey, rejected, showRejected) {
    document.body.dataset.empty = rejected ? "rejected" : "all";
    const code = firstEvent(location.origin, anyKey);
    this.#show(
      element("h2", {}, "Waiting for the first event"),
      rejected > 0 && element("p.wrong", {}, `${plural(rejected, "request was", "requests were")} rejected: `, element("button.link", { type: "button", onclick: showRejected }, "see why"), "."),
      element("p", {}, "Run these lines to see it here. You need no account; this sink accepts ", anyKey ? "any API key." : "only the API key it was started with."),
      element("div.code", {}, element("pre", { tabindex: "0", id: "first-event" }, element("code", {}, document.createTextNode(code))), copyButton("Copy", () => code)),
    );
  }

  /** Nothing that was kept matches the filter. */
  nothing(what, clear) {
    delete document.body.dataset.empty;
    this.#show(element("h2", {}, `No ${what}`), element("p", {}, clear ? "No kept item matches the filter. New items that match will appear here." : "All requests have been valid so far."), clear && element("p", {}, element("button", { type: "button", onclick: clear }, "Clear the filter")));
  }

  hide() {
    delete document.body.dataset.empty;
    this.#place.hidden = true;
    this.#shown = "";
  }

  #shown = "";

  #show(...content) {
    const text = content.map((part) => part?.textContent).join();
    this.#place.hidden = false;
    if (text === this.#shown) return;
    this.#shown = text;
    this.#place.replaceChildren(...content.filter(Boolean));
  }
}
