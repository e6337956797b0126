// What is sent as JSON. A text of JavaScript may have half of a surrogate pair; UTF-8 has none.

/** Return `value` as JSON; what is half of a surrogate pair becomes U+FFFD, as in every UTF-8 text. */
export function json(value) {
  return JSON.stringify(value, (_, inner) => (typeof inner === "string" ? inner.replace(/\p{Surrogate}/gu, "\ufffd") : inner));
}
