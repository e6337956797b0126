// The outbox: `run` commands that have no answer yet or wait for their turn, so that a reload does
// not lose them. They are idempotent by their run id, so sending one again starts nothing twice.

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

  /** Remove the commands for `thread`: it is gone, and one of them would make it anew. */
  forget(thread) {
    this.#save(this.commands.filter((command) => command.thread !== thread));
  }

  /** Send a command by a Connection; return its answer, or throw the Refusal. */
  async deliver(command, connection) {
    this.put(command);
    let queued = false;
    try {
      const accepted = await connection.request(command);
      queued = accepted.queued ?? false;
      return accepted;
    } finally {
      // One that waits is kept, so that it is shown again after a reload. It cannot run twice.
      if (!queued) this.remove(command);
    }
  }

  #without(command) {
    return this.commands.filter((other) => other.input.runId !== command.input.runId);
  }

  #save(commands) {
    this.#storage.setItem(KEY, JSON.stringify(commands));
  }
}
