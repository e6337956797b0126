// The status: how the connection stands, in words, with the way out where there is one.

import { closeRow } from "./errors.js";

export class Status {
  #nodes;
  #announce;
  #timer = null;
  #spoken = "live"; // What was told last: each attempt to reconnect is not news.

  /** `nodes` are {text, retry, signIn}; `announce(text)` tells a screen reader. */
  constructor(nodes, announce) {
    this.#nodes = nodes;
    this.#announce = announce;
  }

  /** Show `state` of a Connection with its `details`. */
  show(state, details) {
    clearInterval(this.#timer);
    document.body.dataset.connection = state;
    this.#nodes.retry.hidden = !["waiting", "restarting", "offline", "refused"].includes(state);
    this.#nodes.signIn.hidden = state !== "signed-out";
    this.#nodes.text.title = details.code ? `${closeRow(details.code).text} (${details.code})` : "";
    this.#draw(state, details);
    if (details.until) this.#timer = setInterval(() => this.#draw(state, details), 250);
    if (SPOKEN[state] && state !== this.#spoken) {
      this.#spoken = state;
      this.#announce(SPOKEN[state]);
    }
  }

  #draw(state, details) {
    this.#nodes.text.textContent = wordsFor(state, details, performance.now());
  }
}

const SPOKEN = {
  live: "Connected.",
  waiting: "Connection lost. Reconnecting.",
  restarting: "The server has stopped. Reconnecting.",
  offline: "You are offline.",
  "signed-out": "You are signed out.",
  refused: "The connection was refused.",
};

/** Return what to call `state` at the time `now` (by the clock of `details.until`). */
export function wordsFor(state, { until = 0, code = 0 }, now) {
  const seconds = Math.max(1, Math.ceil((until - now) / 1000));
  switch (state) {
    case "live":
      return "Live";
    case "waiting":
      return `Reconnecting in ${seconds} s`;
    case "restarting":
      // Whether anybody starts it again it does not know itself.
      return `Server stopped, next try in ${seconds} s`;
    case "offline":
      return `Offline, next try in ${seconds} s`;
    case "signed-out":
      return "Signed out";
    case "refused":
      return closeRow(code).text;
    default:
      return "Connecting…";
  }
}
