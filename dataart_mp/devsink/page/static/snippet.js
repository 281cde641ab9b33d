// Python code that sends an event.

import { ExactNumber } from "./exact.js";
import { pythonString } from "./visible.js";

const WORDS = new Map([[null, "None"], [true, "True"], [false, "False"]]);

/** A JSON value as Python code. A JSON string is also a Python string. */
export function python(value) {
  if (WORDS.has(value)) return WORDS.get(value);
  if (typeof value === "string") return pythonString(value);
  if (typeof value === "number" || value instanceof ExactNumber) return String(value);
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  const parts = Object.entries(value).map(([name, item]) => `${pythonString(name)}: ${python(item)}`);
  return `{${parts.join(", ")}}`;
}

/** The call that sends an arrival again. */
export function call({ kind, item }) {
  if (kind === "identities") return `client.identify(${python(item.user_key)}, ${python(item.metadata)})`;
  const lines = [
    python(item.key),
    python(item.user_key),
    `is_anonymous_user=${python(item.is_anonymous_user)}`,
    `timestamp=${python(item.timestamp)}`,
    `metadata=${python(item.metadata)}`,
  ];
  return `client.emit_action(\n${lines.map((line) => `    ${line},\n`).join("")})`;
}

/** Six lines that send a first event. */
export function firstEvent(url, anyKey) {
  return `from dataart_mp import Client, ClientConfig

config = ClientConfig(api_key=${python(anyKey ? "any" : "your-api-key")}, base_url=${python(url)})
with Client(config) as client:
    client.emit_action("song-played", "ann", metadata={"song": 7, "seconds": 214.5})
    client.identify("ann", {"plan": "free"})
`;
}
