// Arguments and results of tool calls, made readable. What a person approves is what is there: no digit
// of a number gets lost, and nothing turns the letters around.

const PREVIEW = 80;
const LONG_NUMBER = /\d{16}/; // Fewer digits are exact in every number of JavaScript.
const DIRECTIONS = /[\u202a-\u202e\u2066-\u2069]/g; // Letters behind one may be shown in another order.

/** Return `text` as indented JSON if it is a JSON object or array, otherwise as it is. */
export function pretty(text) {
  const value = parsed(text);
  return value === undefined ? text : plain(JSON.stringify(value, null, 2));
}

/** Return the arguments of a tool call in one short line: `query: kill -9, limit: 3`. */
export function preview(text) {
  const value = parsed(text);
  if (value === undefined) return shortened(text);
  const words = Array.isArray(value)
    ? value.map(inline)
    : Object.entries(value).map(([name, inner]) => `${name}: ${inline(inner)}`);
  return shortened(plain(words.join(", ")));
}

function parsed(text) {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text, LONG_NUMBER.test(text) ? exact : undefined);
  } catch {
    return undefined; // Arguments that are still streaming, a result that is no JSON, or an old browser.
  }
}

/** Return a number that JavaScript would change as it is written. */
function exact(_, value, { source }) {
  return typeof value === "number" && String(value) !== source ? JSON.rawJSON(source) : value;
}

/** Return `text` with marks of direction as JSON may write them. */
function plain(text) {
  return text.replace(DIRECTIONS, (mark) => `\\u${mark.charCodeAt(0).toString(16)}`);
}

function inline(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return `text` in one line, cut to a length that can be taken in at a glance. */
export function shortened(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= PREVIEW ? line : `${line.slice(0, PREVIEW - 1)}…`;
}
