// The list of threads: newest first, by pages, each to open; the own ones also to rename or delete.

import { hashOf } from "./address.js";
import { made, part, setText } from "./dom.js";

const PAGE = 30;
const WORKING_MS = 3_000; // How long what is said of an agent that works elsewhere is believed.
const BARRED_MS = 30_000; // How long it is believed that somebody may not do something in the open thread.
const ACTIVE = new Set(["running", "cancelling"]);

export class ThreadList {
  #api;
  #list;
  #more;
  #options;
  #threads = [];
  #next = null;
  #listed = false; // Whether the server has said what there is.
  #current = null;
  #rows = new Map();
  #refreshing = null;
  #stale = false;
  #timer = null;

  /**
   * `list` is the <ul>, `more` the button for the next page, `empty` what is shown without
   * threads. Called back are `onRename(thread)`, `onDelete(thread)`, `onListed(threads)` with
   * what the server has just said, `onProblem(refusal)`, and `mayAsk()`: whether to ask by itself.
   */
  constructor({ list, more, empty }, api, options) {
    this.#api = api;
    this.#list = list;
    this.#more = more;
    this.#options = { empty, ...options };
    more.addEventListener("click", () => this.#showMore());
  }

  /** Return the title of the thread, or null if it is not listed. */
  titleOf(id) {
    return this.#threads.find((thread) => thread.id === id)?.title ?? null;
  }

  /** Mark the thread that is open. */
  select(id) {
    this.#current = id;
    this.#draw();
  }

  /** Load the first page anew; what was loaded of older pages stays. */
  refresh() {
    this.#stale = true;
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  remove(id) {
    this.#threads = this.#threads.filter((thread) => thread.id !== id);
    this.#draw();
  }

  /** Load until what is loaded was asked for after the last call of `refresh`. */
  async #refresh() {
    while (this.#stale) {
      this.#stale = false;
      await this.#load(null);
    }
  }

  async #showMore() {
    const known = this.#threads.length;
    this.#more.disabled = true;
    await this.#load(this.#next);
    this.#more.disabled = false;
    // Disabled, the button lost the focus, unless the person has moved on meanwhile.
    if (![document.body, this.#more].includes(document.activeElement)) return;
    (this.#more.hidden ? this.#list.querySelectorAll("a")[known] : this.#more)?.focus();
  }

  async #load(before) {
    let page;
    try {
      page = await this.#api.threads({ limit: PAGE, before });
    } catch (refusal) {
      this.#watch();
      return this.#options.onProblem(refusal);
    }
    this.#listed = true;
    this.#threads = merged(this.#threads, page, before !== null);
    const complete = this.#threads.length === page.threads.length;
    if (before !== null || complete) this.#next = page.next;
    this.#draw();
    this.#options.onListed(page.threads);
  }

  #draw() {
    for (const [id, row] of this.#rows) {
      if (this.#threads.some((thread) => thread.id === id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    this.#threads.forEach((thread, at) => {
      const row = this.#rowOf(thread);
      if (this.#list.children[at] !== row) this.#list.insertBefore(row, this.#list.children[at] ?? null);
    });
    this.#more.hidden = this.#next === null;
    this.#options.empty.hidden = !this.#listed || this.#threads.length > 0;
    this.#watch();
  }

  /**
   * Ask again while agents work in threads that are not open, or the role in the open one bars its
   * user from something: nothing tells this page of their end, or of another role.
   */
  #watch() {
    clearTimeout(this.#timer);
    const works = this.#threads.some(({ id, run }) => id !== this.#current && ACTIVE.has(run?.status));
    const barred = this.#threads.some((thread) => thread.id === this.#current && bars(thread));
    if (!works && !barred) return;
    const ask = () => (this.#options.mayAsk() ? this.refresh() : this.#watch());
    this.#timer = setTimeout(ask, works ? WORKING_MS : BARRED_MS);
  }

  #rowOf({ id, title, run, questions, owner, role, updated_at: updated }) {
    const row = this.#rows.get(id) ?? this.#newRow(id);
    const link = part(row, "link");
    const current = id === this.#current;
    setText(part(row, "title"), title || "Untitled");
    const own = role === "owner";
    const whose = own ? "" : `\nShared by ${owner}`;
    link.title = `${title}${whose}\n${new Date(updated).toLocaleString()}`;
    setText(part(row, "owner"), own ? "" : owner);
    part(row, "owner").hidden = own;
    part(row, "rename").hidden = part(row, "delete").hidden = !own;
    row.dataset.run = run?.status ?? "none";
    part(row, "working").hidden = !ACTIVE.has(run?.status);
    part(row, "asking").hidden = !(questions > 0); // Whichever run asked them.
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    part(row, "rename").setAttribute("aria-label", `Rename ${title}`);
    part(row, "delete").setAttribute("aria-label", `Delete ${title}`);
    return row;
  }

  #newRow(id) {
    const row = made("thread-row");
    row.dataset.thread = id;
    part(row, "link").href = hashOf(id);
    const thread = () => this.#threads.find((thread) => thread.id === id);
    part(row, "rename").addEventListener("click", () => this.#options.onRename(thread()));
    part(row, "delete").addEventListener("click", () => this.#options.onDelete(thread()));
    this.#rows.set(id, row);
    return row;
  }
}

/** Whether the user may not write in the thread, or not answer what its agent asks. */
function bars({ role, questions }) {
  return role === "read" || (role === "write" && questions > 0);
}

/**
 * Return `known` with a page of threads taken in. An `older` page is added at the end. The newest
 * page says all about the time down to its last thread, or about everything if no page is `next`:
 * what is known from there and not in it is gone.
 */
export function merged(known, { threads, next }, older) {
  const ids = new Set(threads.map((thread) => thread.id));
  const others = known.filter((thread) => !ids.has(thread.id));
  if (older) return [...others, ...threads];
  if (next === null || threads.length === 0) return threads;
  return [...threads, ...others.filter((thread) => comesAfter(thread, threads.at(-1)))];
}

/** Whether `one` is listed after `other`: last updated first, then by id descending. */
function comesAfter(one, other) {
  if (one.updated_at !== other.updated_at) return one.updated_at < other.updated_at;
  return one.id < other.id;
}
