// The HTTP calls: threads and their members. Each fails with a Refusal only.

import { Refusal } from "./errors.js";
import { json } from "./json.js";

export class Api {
  #root;
  #token;

  /** `root` is the URL that the server is mounted at, `token` a Token. */
  constructor(root, token) {
    this.#root = root;
    this.#token = token;
  }

  /** Return a page of threads, newest first: {threads, next}; `before` is the `next` before. */
  async threads({ limit, before = null }) {
    const query = new URLSearchParams({ limit: String(limit) });
    if (before !== null) query.set("before", String(before));
    const { threads = [], next = null } = await this.#read(`threads?${query}`);
    return { threads, next };
  }

  async thread(thread) {
    return await this.#read(pathOf(thread));
  }

  async rename(thread, title) {
    await this.#call("PATCH", pathOf(thread), { title });
  }

  async remove(thread) {
    await this.#call("DELETE", pathOf(thread));
  }

  /** Return the owner and the members: [{user, role}]. */
  async members(thread) {
    return (await this.#read(`${pathOf(thread)}/members`)).members;
  }

  /** Return all questions of the thread's runs: [{id, by}]; `by` is null while one is open. */
  async interrupts(thread) {
    const asked = [];
    const query = new URLSearchParams({ limit: "1000" });
    for (;;) {
      const page = await this.#read(`${pathOf(thread)}/interrupts?${query}`);
      asked.unshift(...page.interrupts);
      if (page.next === null) return asked;
      query.set("before", page.next);
    }
  }

  async setMember(thread, user, role) {
    await this.#call("PUT", `${pathOf(thread)}/members/${encodeURIComponent(user)}`, { role });
  }

  async removeMember(thread, user) {
    await this.#call("DELETE", `${pathOf(thread)}/members/${encodeURIComponent(user)}`);
  }

  /** Return why the server lets this page in or not: "in", "signed out", "shut", "unreachable". */
  async standing() {
    try {
      await this.threads({ limit: 1 });
      return "in";
    } catch (refusal) {
      if (refusal.code === "unauthenticated") return "signed out";
      if (refusal.code === "forbidden") return "shut";
      return "unreachable";
    }
  }

  /** Return what the server answers; it may also break off in the middle of its answer. */
  async #read(path) {
    const response = await this.#call("GET", path);
    try {
      return await response.json();
    } catch {
      throw new Refusal({ code: "unreachable" });
    }
  }

  async #call(method, path, body = undefined) {
    const headers = { Accept: "application/json", ...this.#token.headers };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(new URL(path, this.#root), {
        method,
        headers,
        body: body === undefined ? undefined : json(body),
        credentials: "same-origin",
        cache: "no-store",
      });
    } catch {
      throw new Refusal({ code: "unreachable" });
    }
    if (!response.ok) throw await refusalOf(response);
    return response;
  }
}

function pathOf(thread) {
  return `threads/${encodeURIComponent(thread)}`;
}

const CODE_OF_STATUS = { 401: "unauthenticated", 403: "forbidden", 404: "not_found", 429: "too_many" };

/** Return the Refusal that an HTTP response spells, also when its body is no JSON of ours. */
async function refusalOf(response) {
  const fallback = { code: CODE_OF_STATUS[response.status] ?? "internal" };
  const body = await response.json().catch(() => null);
  return new Refusal({ ...fallback, ...body?.error });
}
