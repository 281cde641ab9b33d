// The stream of news. A stream that breaks is opened again, and begins with all there is.

import { parse } from "./exact.js";

export class Feed {
  #source = null;

  /** @param {{hello: Function, news: Function, state: Function}} listener */
  constructor(listener) {
    this.listener = listener;
  }

  /** Listen for what matches the filter. */
  open(filter) {
    this.#source?.close();
    this.#source = new EventSource(`/_sink/live?${new URLSearchParams(filter)}`);
    this.#source.addEventListener("hello", (event) => {
      this.listener.state("live");
      this.listener.hello(parse(event.data));
    });
    this.#source.addEventListener("news", (event) => this.listener.news(parse(event.data)));
    this.#source.addEventListener("error", () => {
      this.listener.state("lost");
      // A refusal ends an EventSource for good.
      if (this.#source.readyState === EventSource.CLOSED) setTimeout(() => this.open(filter), 2000);
    });
  }
}
