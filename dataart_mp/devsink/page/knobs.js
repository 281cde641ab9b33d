// Which knobs a fault has, and how a rule is made of them and told in words.

import { stringify } from "./exact.js";

/** Kinds of faults: name, what it does, the knobs it has beside the common ones. */
export const KINDS = {
  status: ["Answer a status", ["status", "retry_after"]],
  latency: ["Answer late", ["seconds"]],
  hang: ["Hang, then hang up", ["seconds", "reset"]],
  disconnect: ["Hang up without an answer", ["reset"]],
  ack_lost: ["Take it, but lose the answer", ["reset"]],
  refuse: ["Refuse events that match", ["match", "status", "retry_after"]],
  refuse_bytes: ["Refuse large bodies", ["over", "retry_after"]],
};

const COMMON = ["rate", "times", "for_seconds", "path"];

/** Knobs: label, attributes of the input, and how its text becomes a value. */
export const KNOBS = {
  status: ["Status", { type: "number", min: 200, max: 599, value: 503, required: true }, Number],
  seconds: ["Seconds", { type: "number", min: 0, step: "any", value: 2, required: true }, Number],
  retry_after: ["Retry-After", { placeholder: "seconds or date" }, (text) => (isNaN(text) ? text : Number(text))],
  over: ["Over so many bytes", { type: "number", min: 0, value: 100000, required: true }, Number],
  match: ["Events with these fields (JSON)", { rows: 3, value: '{"key": "song-played"}', required: true }, JSON.parse],
  reset: ["With a reset of the connection", { type: "checkbox" }, () => true],
  rate: ["How often, in %", { type: "number", min: 0, max: 100, step: "any", value: 100 }, (text) => Number(text) / 100],
  times: ["At most so many times", { type: "number", min: 1, placeholder: "no limit" }, Number],
  for_seconds: ["For so many seconds", { type: "number", min: 0, step: "any", placeholder: "until removed" }, Number],
  path: ["Only requests with", { options: { "": "events or users", actions: "events", identities: "users" } }, String],
};

export const knobsOf = (kind) => [...KINDS[kind][1], ...COMMON];

/** The rule that a form says; knobs left empty are left out. */
export function ruleOf(kind, fields) {
  const rule = { kind };
  for (const name of knobsOf(kind)) {
    const input = fields[name];
    const text = input.type === "checkbox" ? (input.checked ? "on" : "") : input.value.trim();
    if (text !== "") rule[name] = KNOBS[name][2](text);
  }
  if (rule.rate === 1) delete rule.rate;
  return rule;
}

/** A rule in words. */
export function words(rule) {
  const parts = [KINDS[rule.kind][0]];
  if (rule.status) parts.push(String(rule.status));
  if (rule.seconds !== undefined) parts.push(`${rule.seconds} s`);
  if (rule.over !== undefined) parts.push(`over ${rule.over} bytes`);
  if (rule.match) parts.push(stringify(rule.match));
  if (rule.retry_after !== undefined) parts.push(`Retry-After ${rule.retry_after}`);
  if (rule.rate < 1) parts.push(`${Math.round(rule.rate * 1000) / 10} % of the time`);
  if (rule.times) parts.push(`at most ${rule.times} times`);
  if (rule.for_seconds) parts.push(`for ${rule.for_seconds} s`);
  if (rule.path) parts.push(`only ${rule.path}`);
  if (rule.reset) parts.push("with a reset");
  return parts.join(" · ");
}
