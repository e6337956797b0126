// The composer: the field for a question, what sends it, and what stops the answer.

import { isComposing, setText } from "./dom.js";

const TALLEST = 240; // Pixels the field grows to before it scrolls.
const LONG = 10_000; // Characters that are that tall in any window.
// What begins with a letter of these runs from the right, like the message that it will be.
const FROM_RIGHT = /^\P{L}*[\p{sc=Adlm}\p{sc=Arab}\p{sc=Hebr}\p{sc=Mand}\p{sc=Nkoo}\p{sc=Rohg}\p{sc=Syrc}\p{sc=Thaa}]/u;
const AGENT = "netra.agent";
const SENDS = {
  idle: "sends",
  reject: "sends, but not while the agent works",
  enqueue: "sends, to wait its turn",
  interrupt: "sends, and stops this answer",
};

export class Composer {
  #nodes;
  #options;
  #storage;
  #thread = null;
  #closed = true;
  #busy = false;
  #whenBusy = "reject";

  /**
   * `nodes` are {form, field, send, stop, sends, agent, agentRow, barred}. Called back are `onSend(text, agent)`,
   * `onBusy()` when something cannot be sent because the agent works, and `onStop()`; `storage`
   * keeps the drafts.
   */
  constructor(nodes, storage, options) {
    this.#nodes = nodes;
    this.#storage = storage;
    this.#options = options;
    const { form, field, stop } = nodes;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
      event.preventDefault();
      this.#send();
    });
    field.addEventListener("input", () => this.#edited());
    nodes.agent.addEventListener("change", () => storage.setItem(AGENT, nodes.agent.value));
    stop.addEventListener("click", () => this.#options.onStop());
  }

  focus() {
    this.#nodes.field.focus();
  }

  /** Show the draft for `thread`; null for a new conversation. */
  open(thread) {
    this.#thread = thread;
    // Until `update` knows better: what is disabled or hidden takes no focus, and who is fast can write.
    this.#closed = false;
    this.#nodes.field.disabled = false;
    this.#nodes.barred.hidden = true;
    this.#setText(this.#storage.getItem(this.#key) ?? "");
  }

  /** Put `text` into the field, before what is there. */
  put(text) {
    const { field } = this.#nodes;
    this.#setText([text, field.value].filter(Boolean).join("\n"));
    this.#edited();
    this.focus();
  }

  /** Offer the agents if there is a choice. */
  offer(agents) {
    const { agent, agentRow } = this.#nodes;
    const chosen = this.#storage.getItem(AGENT);
    agent.replaceChildren(...agents.map((name) => new Option(name, name)));
    agent.value = agents.includes(chosen) ? chosen : agents[0];
    agentRow.hidden = agents.length < 2;
  }

  /** Return the agent that was chosen; null where there is no choice. */
  get agent() {
    return this.#nodes.agentRow.hidden ? null : this.#nodes.agent.value;
  }

  /**
   * Show what is possible: `status` of the run, what becomes of a question while it is busy
   * (`whenBusy`: "reject", "enqueue" or "interrupt"), whether the thread is `closed`, and the
   * sentence why this user is `barred` from writing in it, if they are.
   */
  update({ status, whenBusy = "reject", closed, barred = "" }) {
    const { field, send, stop, sends } = this.#nodes;
    setText(this.#nodes.barred, barred);
    this.#nodes.barred.hidden = barred === "";
    closed ||= barred !== "";
    const running = status === "running" || status === "cancelling";
    // A button that is hidden or disabled under the focus would lose it to the page.
    const pressed = [send, stop].find((button) => button === document.activeElement);
    this.#closed = closed;
    this.#busy = running || status === "starting";
    this.#whenBusy = whenBusy;
    setText(sends, SENDS[this.#busy ? whenBusy : "idle"]);
    field.disabled = closed;
    stop.hidden = !running || barred !== "";
    stop.disabled = status === "cancelling";
    send.hidden = running && whenBusy === "reject";
    send.disabled = !this.#sendable;
    if (pressed && (pressed.hidden || pressed.disabled)) this.focus();
  }

  get #key() {
    return `netra.draft.${this.#thread ?? ""}`;
  }

  get #sendable() {
    const taken = !this.#busy || this.#whenBusy !== "reject";
    return taken && !this.#closed && this.#nodes.field.value.trim() !== "";
  }

  #send() {
    const text = this.#nodes.field.value.trim();
    if (text === "" || this.#closed) return;
    if (!this.#sendable) return this.#options.onBusy();
    this.#setText("");
    this.#edited();
    this.#options.onSend(text, this.agent);
  }

  #edited() {
    const { field, send } = this.#nodes;
    send.disabled = !this.#sendable;
    this.#fit();
    this.#keepDraft(field.value);
  }

  #keepDraft(text) {
    if (text) this.#storage.setItem(this.#key, text);
    else this.#storage.removeItem(this.#key);
  }

  #setText(text) {
    this.#nodes.field.value = text;
    this.#fit();
  }

  /**
   * Make the field as tall as its text, and let it run from where that does: to find this out takes
   * the browser (`dir="auto"`) the square of the length, 12 s for 1 MB.
   */
  #fit() {
    const { field } = this.#nodes;
    const long = field.value.length > LONG; // Such a one is not laid out twice for its height.
    field.dir = FROM_RIGHT.test(field.value) ? "rtl" : "ltr";
    if (!long) field.style.height = "auto";
    field.style.height = `${long ? TALLEST : Math.min(field.scrollHeight, TALLEST)}px`;
  }
}
