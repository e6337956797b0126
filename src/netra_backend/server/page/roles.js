// Roles: what the user of this page may do in a thread. The server decides; the page only does not
// offer what it would refuse.

import { backoff } from "./backoff.js";

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
  #onChange;
  #wait;
  #known = new Map(); // By the thread's id.
  #failures = new Map(); // How often in a row it could not be learned, by the thread's id.
  #asking = new Set(); // Also those that could not be learned just before.

  /**
   * `onChange()` is called when the role in a thread that was asked for is known, or may be asked
   * for again; `wait(ms)` resolves after so many milliseconds.
   */
  constructor(api, onChange, wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))) {
    this.#api = api;
    this.#onChange = onChange;
    this.#wait = wait;
  }

  /** Return the role in the thread; null while it is not known. What has no owner in its name is our own. */
  of(id) {
    return this.#known.get(id) ?? (ownerOf(id) === null ? "owner" : null);
  }

  /** Take in what the server has just listed. */
  take(threads) {
    for (const { id, role } of threads) this.#learned(id, role);
  }

  /** Ask the server for the role in somebody else's thread, unless it is asked or has just failed to tell. */
  async learn(id) {
    if (ownerOf(id) === null || this.#asking.has(id)) return;
    this.#asking.add(id);
    try {
      this.#learned(id, (await this.#api.thread(id)).role);
    } catch {
      // If it cannot be followed any more either, that is told. Else it is asked for again, but not at once.
      const failures = this.#failures.get(id) ?? 0;
      this.#failures.set(id, failures + 1);
      await this.#wait(backoff(failures, Math.random()));
    }
    this.#asking.delete(id);
    this.#onChange();
  }

  #learned(id, role) {
    this.#known.set(id, role);
    this.#failures.delete(id);
  }
}
