// The details of one arrival or one wrong request.

import { duplicateTag, keyBadge } from "./arrivals.js";
import { copyButton } from "./clipboard.js";
import { byId, element, icon } from "./element.js";
import { stringify } from "./exact.js";
import { count, duration, lag, moment } from "./format.js";
import { problem } from "./rejected.js";
import { call } from "./snippet.js";
import { tree } from "./tree.js";

export class Detail {
  #place = byId("detail");

  /** @param filter set by links in the details @param {Function} closed called when the details are closed */
  constructor(filter, closed) {
    this.filter = filter;
    this.closed = closed;
  }

  get isOpen() {
    return !this.#place.hidden;
  }

  arrival(arrival) {
    const { kind, item, duplicate } = arrival;
    const late = lag(arrival);
    this.#show(
      [kind === "actions" ? "Event" : "User", ` ${count(arrival.number)}`],
      element("p", {}, keyBadge(arrival), " ", duplicate && duplicateTag(duplicate)),
      facts({
        User: this.#link(item.user_key, { user_key: item.user_key }),
        Key: item.key && this.#link(item.key, { key: item.key }),
        Anonymous: item.is_anonymous_user === undefined ? undefined : item.is_anonymous_user ? "yes" : "no",
        Timestamp: item.timestamp && element("span.mono", {}, item.timestamp),
        Arrived: moment(arrival.time),
        Lag: late === null ? undefined : `${duration(late)}${late < 0 ? ", the clock of its sender is ahead" : ""}`,
        Request: String(arrival.request),
        Duplicate: duplicate && (duplicate === "explained" ? "the client repeated the request with its Idempotency-Key" : "the same content arrived before, in another request"),
      }),
      element("div.copies", {}, copyButton("Copy JSON", () => stringify(item, 2)), copyButton(kind === "actions" ? "Copy emit_action" : "Copy identify", () => call(arrival))),
      element("h3", {}, "Metadata"),
      tree(item.metadata),
    );
  }

  request(request) {
    this.#show(
      ["Rejected request ", count(request.number)],
      element("p.problem", {}, element("code", {}, request.field), ` ${problem(request)}`),
      facts({
        Status: String(request.status),
        Request: `${request.method} ${request.path}`,
        Arrived: moment(request.time),
        Body: request.bytes ? `${count(request.bytes)} bytes` : undefined,
        "Idempotency-Key": request.idempotency_key,
      }),
      element("div.copies", {}, copyButton("Copy JSON", () => stringify(request, 2))),
      element("h3", {}, "Headers"),
      tree(request.headers),
    );
  }

  close() {
    if (!this.isOpen) return;
    this.#place.hidden = true;
    this.closed();
  }

  #show(title, ...content) {
    const close = element("button.square", { type: "button", "aria-label": "Close", title: "Close (Esc)", onclick: () => this.close() }, icon("close"));
    this.#place.replaceChildren(element("header", {}, element("h2", { id: "detail-title" }, ...title), close), ...content);
    this.#place.hidden = false;
    this.#place.scrollTop = 0;
  }

  #link(text, values) {
    return element("button.link", { type: "button", title: "Filter by this value", onclick: () => this.filter.set(values) }, text);
  }
}

function facts(given) {
  const pairs = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  return element("dl.facts", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}
