// The form fields of each kind of fault, and how a rule is built from them and described.

import { stringify } from "./exact.js";
import { plural } from "./format.js";

/** Kinds of faults: label and form fields besides the common ones. */
export const KINDS = {
  status: ["Respond with a status", ["status", "retry_after"]],
  latency: ["Delay the response", ["seconds"]],
  hang: ["Hang, then close the connection", ["seconds", "reset"]],
  disconnect: ["Close the connection without a response", ["reset"]],
  ack_lost: ["Accept, but lose the response", ["reset"]],
  refuse: ["Refuse matching events", ["match", "status", "retry_after"]],
  refuse_bytes: ["Refuse large bodies", ["over", "retry_after"]],
};

const COMMON = ["rate", "times", "for_seconds", "path"];

/** Form fields: label, attributes of the input, and the parser of its text. */
export const FIELDS = {
  status: ["Status", { type: "number", min: 200, max: 599, value: 503, required: true }, Number],
  seconds: ["Seconds", { type: "number", min: 0, step: "any", value: 2, required: true }, Number],
  retry_after: ["Retry-After", { placeholder: "seconds or date" }, (text) => (isNaN(text) ? text : Number(text))],
  over: ["Largest body in bytes", { type: "number", min: 0, value: 100000, required: true }, Number],
  match: ["Events with these fields (JSON)", { rows: 3, value: '{"key": "song-played"}', required: true }, JSON.parse],
  reset: ["Reset the connection", { type: "checkbox" }, () => true],
  rate: ["Probability in %", { type: "number", min: 0, max: 100, step: "any", value: 100 }, (text) => Number(text) / 100],
  times: ["Maximum number of times", { type: "number", min: 1, placeholder: "no limit" }, Number],
  for_seconds: ["Duration in seconds", { type: "number", min: 0, step: "any", placeholder: "until removed" }, Number],
  path: ["Only requests with", { options: { "": "events or users", actions: "events", identities: "users" } }, String],
};

export const fieldsOf = (kind) => [...KINDS[kind][1], ...COMMON];

/** The rule that a form describes; empty fields are omitted. */
export function ruleOf(kind, fields) {
  const rule = { kind };
  for (const name of fieldsOf(kind)) {
    const input = fields[name];
    const text = input.type === "checkbox" ? (input.checked ? "on" : "") : input.value.trim();
    if (text !== "") rule[name] = FIELDS[name][2](text);
  }
  if (rule.rate === 1) delete rule.rate;
  return rule;
}

/** The description of a rule. */
export function description(rule) {
  const parts = [KINDS[rule.kind][0]];
  if (rule.status) parts.push(String(rule.status));
  if (rule.seconds !== undefined) parts.push(`${rule.seconds} s`);
  if (rule.over !== undefined) parts.push(`over ${rule.over} bytes`);
  if (rule.match) parts.push(stringify(rule.match));
  if (rule.retry_after !== undefined) parts.push(`Retry-After ${rule.retry_after}`);
  if (rule.rate < 1) parts.push(`${Math.round(rule.rate * 1000) / 10} % of requests`);
  if (rule.times) parts.push(`at most ${plural(rule.times, "time", "times")}`);
  if (rule.for_seconds) parts.push(`for ${rule.for_seconds} s`);
  if (rule.path) parts.push(`only ${rule.path}`);
  if (rule.reset) parts.push("with a reset");
  return parts.join(" · ");
}
