// Formats numbers, times and keys.

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
const full = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });

export const count = (number) => whole.format(number);
export const timeOfDay = (seconds) => clock.format(seconds * 1000);
export const moment = (seconds) => full.format(seconds * 1000);
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

const UNITS = [[1, "ms"], [1000, "s"], [60_000, "min"], [3_600_000, "h"], [86_400_000, "d"], [31_557_600_000, "y"]];

export function duration(milliseconds) {
  const size = Math.abs(milliseconds);
  const [unit, name] = UNITS.findLast(([least]) => size >= least) ?? UNITS[0];
  const number = size / unit;
  const digits = number < 10 && unit > 1 ? 1 : 0;
  return `${milliseconds < 0 ? "−" : ""}${number.toFixed(digits)} ${name}`;
}

/** Milliseconds from an item's timestamp to its arrival; null: it has no timestamp. */
export function lag({ time, item }) {
  if (item.timestamp === undefined) return null;
  // JavaScript only has milliseconds.
  return time * 1000 - Date.parse(item.timestamp.replace(/(\.\d{3})\d+/, "$1"));
}

// Red (25) is for errors and amber (70) for warnings; keys have the hues from green to magenta.
const FIRST_HUE = 120;
const HUES = 205;

/** The hue of a key, which is always the same. */
export function hue(text) {
  let hash = 7;
  for (const character of text) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  // Spreads similar keys over all hues (the golden ratio).
  return FIRST_HUE + Math.round(((hash * 0.618033988749895) % 1) * HUES);
}
