// All about one arrival or one wrong request.

import { doubleTag, keyBadge } from "./arrivals.js";
import { copyButton } from "./clipboard.js";
import { byId, element, icon } from "./element.js";
import { stringify } from "./exact.js";
import { count, duration, lag, moment } from "./format.js";
import { problem } from "./rejected.js";
import { call } from "./snippet.js";
import { tree } from "./tree.js";

export class Detail {
  #place = byId("detail");

  /** @param filter to narrow @param {Function} closed called when it is closed */
  constructor(filter, closed) {
    this.filter = filter;
    this.closed = closed;
  }

  get isOpen() {
    return !this.#place.hidden;
  }

  arrival(arrival) {
    const { kind, item, double } = arrival;
    const late = lag(arrival);
    this.#show(
      [kind === "actions" ? "Event" : "User", ` ${count(arrival.number)}`],
      element("p", {}, keyBadge(arrival), " ", double && doubleTag(double)),
      facts({
        User: this.#link(item.user_key, { user_key: item.user_key }),
        Key: item.key && this.#link(item.key, { key: item.key }),
        Anonymous: item.is_anonymous_user === undefined ? undefined : item.is_anonymous_user ? "yes" : "no",
        Timestamp: item.timestamp && element("span.mono", {}, item.timestamp),
        Arrived: moment(arrival.time),
        Lag: late === null ? undefined : `${duration(late)}${late < 0 ? ": its clock is ahead" : ""}`,
        Request: String(arrival.request),
        Double: double && (double === "explained" ? "the whole request was sent again under its Idempotency-Key" : "equal content arrived before, in another request"),
      }),
      element("div.copies", {}, copyButton("Copy JSON", () => stringify(item, 2)), copyButton(kind === "actions" ? "Copy emit_action" : "Copy identify", () => call(arrival))),
      element("h3", {}, "Metadata"),
      tree(item.metadata),
    );
  }

  visit(visit) {
    this.#show(
      ["Rejected request ", count(visit.number)],
      element("p.problem", {}, element("code", {}, visit.field), ` ${problem(visit)}`),
      facts({
        Answer: String(visit.status),
        Request: `${visit.method} ${visit.path}`,
        Arrived: moment(visit.time),
        Body: visit.bytes ? `${count(visit.bytes)} bytes` : undefined,
        "Idempotency-Key": visit.idempotency_key,
      }),
      element("div.copies", {}, copyButton("Copy JSON", () => stringify(visit, 2))),
      element("h3", {}, "Headers"),
      tree(visit.headers),
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

  #link(text, narrowed) {
    return element("button.link", { type: "button", title: "Show only these", onclick: () => this.filter.set(narrowed) }, text);
  }
}

function facts(given) {
  const pairs = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  return element("dl.facts", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}
