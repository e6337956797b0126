// Roles: what the user of this page may do in a thread. The server decides; the page only does not
// offer what it would refuse.

const ROLES = ["read", "write", "decide", "owner"]; // Each may what those before it may.

/** The roles that a member can be given. */
export const INVITED = ["read", "write", "decide"];

/** Return what `role` may: the names of the roles that it includes. */
export function allowed(role) {
  return ROLES.slice(0, ROLES.indexOf(role) + 1);
}

/** Return who owns the thread that is named so, or null for the user's own. */
export function ownerOf(id) {
  const at = id.indexOf(",");
  return at < 0 ? null : id.slice(0, at);
}

/** Return why nothing can be written in the thread, in a sentence; "" where it can, or is not known. */
export function barredFrom(id, role) {
  if (role === null || allowed(role).includes("write")) return "";
  return `You may read this conversation, but not write in it. Its owner, ${ownerOf(id)}, can change that.`;
}

export class Roles {
  #api;
  #onLearned;
  #known = new Map(); // By the thread's id.
  #asking = new Set();

  /** `onLearned()` is called when the role in a thread that was asked for is known. */
  constructor(api, onLearned) {
    this.#api = api;
    this.#onLearned = onLearned;
  }

  /** Return the role in the thread; null while it is not known. What has no owner in its name is our own. */
  of(id) {
    return this.#known.get(id) ?? (ownerOf(id) === null ? "owner" : null);
  }

  /** Take in what the list of threads says. */
  take(threads) {
    for (const { id, role } of threads) this.#known.set(id, role);
  }

  /** Ask the server for the role in somebody else's thread. */
  async learn(id) {
    if (ownerOf(id) === null || this.#asking.has(id)) return;
    this.#asking.add(id);
    try {
      this.#known.set(id, (await this.#api.thread(id)).role);
    } catch {
      return; // It cannot be followed any more either, and that is told; or the next list brings it.
    } finally {
      this.#asking.delete(id);
    }
    this.#onLearned();
  }
}
