// The sink's control API.

import { parse } from "./exact.js";

async function call(method, path, content) {
  const response = await fetch(`/_sink/${path}`, {
    method,
    body: content === undefined ? undefined : JSON.stringify(content),
  });
  const value = parse(await response.text());
  if (!response.ok) throw new Error(value.error);
  return value;
}

export const arrivals = (query) => call("GET", `arrivals?${new URLSearchParams(query)}`);
export const rejected = async (number) => (await call("GET", `rejected?request=${number}`)).rejected[0];
export const reset = () => call("POST", "reset");
export const addFault = (rule) => call("POST", "faults", rule);
export const clearFaults = () => call("DELETE", "faults");
export const removeFault = (number) => call("DELETE", `faults?number=${number}`);
