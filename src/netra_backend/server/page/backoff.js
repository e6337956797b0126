// Backoff: how long to wait before the next attempt, so that many clients do not come at once.

export const FIRST_MS = 400;
export const LONGEST_MS = 15_000;

/**
 * Return the milliseconds to wait before attempt number `attempt` (0 is the first).
 *
 * The bound doubles with each attempt up to LONGEST_MS, and the wait is between half of it and
 * all of it. `atLeast` is what the server asked for; the jitter is then added to it. `random` is
 * a number from 0 to 1.
 */
export function backoff(attempt, random, atLeast = 0) {
  const bound = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  const wait = bound / 2 + (bound / 2) * random;
  return Math.round(atLeast > 0 ? Math.max(wait, atLeast + FIRST_MS * random) : wait);
}
