// The details of one arrival or one wrong request.

import { rejected } from "./api.js";
import { DUPLICATES, duplicateTag, keyBadge } from "./arrivals.js";
import { copyButton } from "./clipboard.js";
import { byId, element, icon } from "./element.js";
import { parse, stringify } from "./exact.js";
import { count, duration, lag, moment, plural } from "./format.js";
import { Search } from "./search.js";
import { call } from "./snippet.js";
import { tree } from "./tree.js";

const RAW_CHARACTERS = 20_000;

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
      element("p", {}, keyBadge(arrival, this.filter.search), " ", duplicate && duplicateTag(duplicate)),
      facts({
        User: this.#link(item.user_key, { user_key: item.user_key }),
        Key: item.key && this.#link(item.key, { key: item.key }),
        Anonymous: item.is_anonymous_user === undefined ? undefined : item.is_anonymous_user ? "yes" : "no",
        Timestamp: item.timestamp && element("span.mono", {}, item.timestamp),
        Arrived: moment(arrival.time),
        Lag: late === null ? undefined : `${duration(late)}${late < 0 ? ", the clock of its sender is ahead" : ""}`,
        Request: String(arrival.request),
        Duplicate: duplicate && `${duplicate}: ${DUPLICATES[duplicate]}`,
      }),
      element("div.copies", {}, copyButton("Copy JSON", () => stringify(item, 2)), copyButton(kind === "actions" ? "Copy emit_action" : "Copy identify", () => call(arrival))),
      element("h3", {}, "Metadata"),
      tree(item.metadata, this.filter.search),
    );
  }

  /** A wrong request: all that is wrong with it, its body and its headers. */
  request(request) {
    const place = element("div", {}, element("p.quiet", {}, "loading"));
    let text = "";
    const copyBody = copyButton("Copy body", () => text);
    copyBody.hidden = true;
    this.#show(
      ["Rejected request ", count(request.number)],
      element("ul.problems", {}, ...request.errors.map(({ field, problem }) => element("li", {}, element("code", {}, field), ` ${problem}`)), request.more_errors > 0 && element("li", {}, `and ${plural(request.more_errors, "more problem", "more problems")}`)),
      facts({
        Status: String(request.status),
        Request: `${request.method} ${request.path}`,
        Arrived: moment(request.time),
        Body: request.bytes ? `${count(request.bytes)} bytes` : undefined,
        "Idempotency-Key": request.idempotency_key,
      }),
      element("div.copies", {}, copyButton("Copy JSON", () => stringify(request, 2)), copyBody),
      element("h3", {}, "Body"),
      place,
      element("h3", {}, "Headers"),
      tree(request.headers),
    );
    rejected(request.number).then(
      (whole) => {
        text = whole?.body ?? "";
        copyBody.hidden = !text;
        place.replaceChildren(...body(text, request));
      },
      (error) => place.replaceChildren(element("p.quiet", {}, error.message)),
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

/** The body of a wrong request: a tree with its problems, or the text if it is not JSON. */
function body(text, { bytes, errors }) {
  if (!text) return [element("p.quiet", {}, bytes ? "It was not kept." : "Empty, or not read.")];
  let value;
  try {
    value = parse(text);
  } catch {
    const shown = text.slice(0, RAW_CHARACTERS);
    const lines = shown.split("\n").flatMap((line, index) => (index ? [document.createTextNode("\n"), line] : [line]));
    return [element("pre.raw", { tabindex: "0" }, ...lines), shown.length < text.length && element("p.quiet", {}, "This is the beginning.")].filter(Boolean);
  }
  return [tree(value, new Search(), errors)];
}
