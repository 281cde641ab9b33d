// What stands where nothing has arrived yet.

import { copyButton } from "./clipboard.js";
import { byId, element } from "./element.js";
import { firstEvent } from "./snippet.js";

export class Empty {
  #place = byId("empty");

  /** Nothing has arrived at all. */
  first(anyKey) {
    document.body.dataset.empty = "";
    const code = firstEvent(location.origin, anyKey);
    this.#show(
      element("h2", {}, "Waiting for the first event"),
      element("p", {}, "Run these lines, and it appears here. No account is needed; this sink takes ", anyKey ? "any API key." : "only the API key it was started with."),
      element("div.code", {}, element("pre", { tabindex: "0", id: "first-event" }, element("code", {}, code)), copyButton("Copy", () => code)),
    );
  }

  /** Something has, but nothing of what is asked for. */
  nothing(what, clear) {
    delete document.body.dataset.empty;
    this.#show(element("h2", {}, `No ${what} here`), element("p", {}, clear ? "Nothing that is kept matches; what arrives and matches will appear. " : "All requests were right so far."), clear && element("p", {}, element("button", { type: "button", onclick: clear }, "Clear the filter")));
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
