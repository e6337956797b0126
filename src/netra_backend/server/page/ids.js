// Ids that this page makes: for threads, runs and messages.

/** Return 96 random bits as hex. (`crypto.randomUUID` is missing on plain-HTTP origins.) */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
