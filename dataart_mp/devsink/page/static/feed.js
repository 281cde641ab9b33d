// The stream of events from the sink. After a disconnect it is opened again, with a new snapshot.

import { parse } from "./exact.js";

export class Feed {
  #source = null;

  /** @param {{snapshot: Function, update: Function, state: Function}} listener */
  constructor(listener) {
    this.listener = listener;
  }

  /** Open the stream of items that match the filter. */
  open(filter) {
    this.#source?.close();
    this.#source = new EventSource(`/_sink/live?${new URLSearchParams(filter)}`);
    this.#source.addEventListener("snapshot", (event) => {
      this.listener.state("live");
      this.listener.snapshot(parse(event.data));
    });
    this.#source.addEventListener("update", (event) => this.listener.update(parse(event.data)));
    this.#source.addEventListener("error", () => {
      this.listener.state("lost");
      // An EventSource does not reconnect after an error response.
      if (this.#source.readyState === EventSource.CLOSED) setTimeout(() => this.open(filter), 2000);
    });
  }
}
