// Text from events with its invisible characters shown as escapes: control characters, and those
// that change the direction of what follows or take no space.

// Joiners (U+200C, U+200D) are left alone: emoji and several scripts need them.
const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const hexadecimal = (number, digits) => number.toString(16).padStart(digits, "0");

/** The escape of a character in Python, in JavaScript's strings and, below U+10000, in JSON. */
function escape(character) {
  const code = character.codePointAt(0);
  return code > 0xffff ? `\\U${hexadecimal(code, 8)}` : `\\u${hexadecimal(code, 4)}`;
}

/** The text as it is shown. */
export const visible = (text) => text.replace(HIDDEN, escape);

export const isVisible = (text) => text.search(HIDDEN) < 0;

/** A text as a JSON string without invisible characters. */
export function jsonString(text) {
  const units = (character) => Array.from({ length: character.length }, (_, at) => escape(character[at])).join("");
  return JSON.stringify(text).replace(HIDDEN, units);
}

/** A text as a Python string without invisible characters. */
export const pythonString = (text) => JSON.stringify(text).replace(HIDDEN, escape);
