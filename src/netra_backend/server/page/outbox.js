// The outbox: `run` commands that have no answer yet, so that a reload does not lose them. They
// are idempotent by their run id, so sending one again starts nothing twice.

const KEY = "netra.outbox";

export class Outbox {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  /** All commands, oldest first. */
  get commands() {
    try {
      return JSON.parse(this.#storage.getItem(KEY) ?? "[]");
    } catch {
      return []; // Somebody else wrote there.
    }
  }

  /** Return the commands for `thread`, oldest first. */
  of(thread) {
    return this.commands.filter((command) => command.thread === thread);
  }

  put(command) {
    this.#save([...this.#without(command), command]);
  }

  remove(command) {
    this.#save(this.#without(command));
  }

  #without(command) {
    return this.commands.filter((other) => other.input.runId !== command.input.runId);
  }

  #save(commands) {
    try {
      this.#storage.setItem(KEY, JSON.stringify(commands));
    } catch {
      // The storage is full: a reload may then lose what was not accepted yet.
    }
  }
}
