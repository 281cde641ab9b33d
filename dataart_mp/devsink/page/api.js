// The sink's own API.

import { parse } from "./exact.js";

async function ask(method, path, content) {
  const answer = await fetch(`/_sink/${path}`, {
    method,
    body: content === undefined ? undefined : JSON.stringify(content),
  });
  const value = parse(await answer.text());
  if (!answer.ok) throw new Error(value.error);
  return value;
}

export const arrivals = (query) => ask("GET", `arrivals?${new URLSearchParams(query)}`);
export const rejected = (limit) => ask("GET", `rejected?limit=${limit}`);
export const reset = () => ask("POST", "reset");
export const addFault = (rule) => ask("POST", "faults", rule);
export const clearFaults = () => ask("DELETE", "faults");
export const removeFault = (number) => ask("DELETE", `faults?number=${number}`);
