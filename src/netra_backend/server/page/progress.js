// The progress: what a run says of how far it is, in one line.

import { shortened } from "./pretty.js";

/** Return `value` of a netra.progress event in words, such as "Looking (1 of 2)"; "" if it has none. */
export function progressText(value) {
  const { text, done, total } = value ?? {};
  const words = typeof text === "string" ? shortened(text) : "";
  const amount = amountOf(done, total);
  return words && amount ? `${words} (${amount})` : words || amount;
}

/** Return which part is done, from 0 to 1; null where that is not said. */
export function partDone(value) {
  const { done, total } = value ?? {};
  if (!Number.isFinite(done) || !Number.isFinite(total) || total <= 0) return null;
  return Math.min(1, Math.max(0, done / total));
}

function amountOf(done, total) {
  if (!Number.isFinite(done)) return "";
  const shown = (number) => number.toLocaleString("en", { maximumFractionDigits: 2 });
  return Number.isFinite(total) ? `${shown(done)} of ${shown(total)}` : shown(done);
}
