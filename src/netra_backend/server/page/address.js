// The address: which thread is open, in the URL's hash, so that a reload and a second tab find it.

const PREFIX = "#thread=";

/** Return the thread that `hash` names, or null. */
export function threadOf(hash) {
  if (!hash.startsWith(PREFIX)) return null;
  try {
    return decodeURIComponent(hash.slice(PREFIX.length)) || null;
  } catch {
    return null; // A stray percent sign.
  }
}

/** Return the hash that names `thread`; for null the one of a new conversation. */
export function hashOf(thread) {
  return thread === null ? "#new" : PREFIX + encodeURIComponent(thread);
}
