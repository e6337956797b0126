// Arguments and results of tool calls, made readable.

const PREVIEW = 80;

/** Return `text` as indented JSON if it is a JSON object or array, otherwise as it is. */
export function pretty(text) {
  const value = parsed(text);
  return value === undefined ? text : JSON.stringify(value, null, 2);
}

/** Return the arguments of a tool call in one short line: `query: kill -9, limit: 3`. */
export function preview(text) {
  const value = parsed(text);
  if (value === undefined) return shortened(text);
  const words = Array.isArray(value)
    ? value.map(inline)
    : Object.entries(value).map(([name, inner]) => `${name}: ${inline(inner)}`);
  return shortened(words.join(", "));
}

function parsed(text) {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Arguments that are still streaming, or a result that is no JSON.
  }
}

function inline(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return `text` in one line, cut to a length that can be taken in at a glance. */
export function shortened(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= PREVIEW ? line : `${line.slice(0, PREVIEW - 1)}…`;
}
