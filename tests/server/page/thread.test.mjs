import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../../src/netra_backend/server/page/outbox.js";
import { OpenThread } from "../../../src/netra_backend/server/page/thread.js";
import { READY, scripted, settled } from "./scripted.mjs";

class Storage {
  #items = new Map();
  getItem = (key) => this.#items.get(key) ?? null;
  setItem = (key, value) => void this.#items.set(key, value);
  removeItem = (key) => void this.#items.delete(key);
}

function opened({ isNew = false, outbox = new Outbox(new Storage()), live = true, interrupts = async () => [] } = {}) {
  const page = scripted();
  if (live) page.live();
  const told = { answered: 0, arrived: 0, ended: [], problems: [] };
  const thread = new OpenThread("t", {
    connection: page.connection,
    outbox,
    isNew,
    interrupts,
    onChange: () => {},
    onAnswered: () => (told.answered += 1),
    onArrived: () => (told.arrived += 1),
    onRunEnded: (status) => told.ended.push(status),
    onProblem: (refusal) => told.problems.push(refusal.code),
  });
  page.listeners.onReady = () => thread.ready();
  page.listeners.onEvent = (frame) => thread.take(frame);
  return { page, thread, outbox, told, kinds: () => page.socket.sent.map((frame) => frame.type) };
}

const runStarted = (command) => ({
  id: "1-1",
  thread: "t",
  chunk: { type: "RUN_STARTED", threadId: "t", runId: command.input.runId, input: { messages: command.input.messages } },
});
const accepted = (command) => ({ type: "accepted", request: command.request, thread: "t", run: command.input.runId, id: "1-1" });
const finished = (id, outcome) => ({ id, thread: "t", chunk: { type: "RUN_FINISHED", threadId: "t", runId: "x", outcome } });

/** Ask a first question in a new thread, up to its RUN_STARTED. */
async function asked(world) {
  world.thread.send("Hello", "docs");
  const [run] = world.page.socket.sent;
  world.page.socket.says(accepted(run));
  await settled();
  const follow = world.page.socket.sent.at(-1);
  world.page.socket.says({ type: "followed", request: follow.request, thread: "t", resume: "replay", id: "1-0" }, runStarted(run));
  return run;
}

test("the first question makes the thread: run, then follow", async () => {
  const world = opened({ isNew: true });
  assert.deepEqual(world.kinds(), [], "a thread that is not there yet is not followed");
  const run = await asked(world);
  assert.deepEqual(world.kinds(), ["run", "follow"]);
  assert.deepEqual(
    { ...run, request: "", input: { ...run.input, runId: "", messages: [{ ...run.input.messages[0], id: "" }] } },
    {
      type: "run",
      request: "",
      thread: "t",
      agent: "docs",
      input: { threadId: "t", runId: "", state: {}, messages: [{ id: "", role: "user", content: "Hello" }], tools: [], context: [], forwardedProps: {} },
    },
  );
  assert.equal(world.thread.conversation.items.length, 1, "the question is shown once");
  assert.equal(world.thread.status, "running");
  assert.equal(world.told.answered, 1);
});

test("without a choice of agents none is named", () => {
  const world = opened({ isNew: true });
  world.thread.send("Hello");
  assert.equal("agent" in world.page.socket.sent[0], false);
});

test("from sending to the run's beginning it is starting", async () => {
  const world = opened({ isNew: true });
  assert.equal(world.thread.status, "none");
  world.thread.send("Hello");
  assert.equal(world.thread.status, "starting");
  world.page.socket.says(accepted(world.page.socket.sent[0]));
  await settled();
  assert.equal(world.thread.status, "starting");
});

test("a reload before the answer sends the same run again", async () => {
  const storage = new Storage();
  const before = opened({ isNew: true, outbox: new Outbox(storage) });
  before.thread.send("Hello");
  const [run] = before.page.socket.sent;
  const after = opened({ outbox: new Outbox(storage), live: false });
  assert.equal(after.thread.conversation.items[0].text, "Hello");
  after.page.live();
  assert.deepEqual(after.page.socket.sent[0].input, run.input);
  after.page.socket.says(accepted(after.page.socket.sent[0]));
  await settled();
  assert.deepEqual(after.outbox.commands, []);
  assert.deepEqual(after.kinds(), ["run", "follow"]);
});

test("a question that waits is shown as such, also after a reload, until its run begins", async () => {
  const storage = new Storage();
  const world = opened({ isNew: true, outbox: new Outbox(storage) });
  await asked(world);
  world.thread.send("And then?");
  const waits = world.page.socket.sent.at(-1);
  world.page.socket.says({ type: "accepted", request: waits.request, thread: "t", run: waits.input.runId, queued: true });
  await settled();
  const item = ({ conversation }) => conversation.item(`user:${waits.input.messages[0].id}`);
  assert.equal(item(world.thread).delivery, "queued");
  assert.equal(world.thread.status, "running", "what waits is not what is going on");
  const after = opened({ outbox: new Outbox(storage), live: false });
  after.page.live();
  const [again] = after.page.socket.sent;
  assert.deepEqual(again.input, waits.input, "the same run, which cannot run twice");
  after.page.socket.says({ type: "accepted", request: again.request, thread: "t", run: again.input.runId, queued: true });
  await settled();
  assert.equal(item(after.thread).delivery, "queued");
  world.page.socket.says(finished("1-2", { type: "success" }), { ...runStarted(waits), id: "1-3" });
  assert.equal(item(world.thread).delivery, "sent");
  assert.deepEqual(world.outbox.commands, []);
});

test("what waits can be called off, and waits no more after a reload", async () => {
  const world = opened({ isNew: true });
  await asked(world);
  const id = world.thread.send("And then?");
  const waits = world.page.socket.sent.at(-1);
  world.page.socket.says({ type: "accepted", request: waits.request, thread: "t", run: waits.input.runId, queued: true });
  await settled();
  const delivery = () => world.thread.conversation.item(`user:${id}`).delivery;
  const called = world.thread.callOff(id);
  const { request, ...cancel } = world.page.socket.sent.at(-1);
  assert.deepEqual(cancel, { type: "cancel", run: waits.input.runId });
  assert.equal(delivery(), "queued", "until the server has said so");
  world.page.socket.says({ type: "cancelled", request, run: waits.input.runId, id: "1-1" });
  assert.equal(await called, true);
  assert.equal(delivery(), "called-off");
  assert.deepEqual(world.outbox.commands, []);
  world.page.socket.says(finished("1-2"), { ...runStarted(waits), id: "1-3" }, finished("1-4", { type: "cancelled" }));
  assert.deepEqual([delivery(), world.thread.status], ["sent", "cancelled"]);
});

test("what waits is refused when its turn comes and one may write no more", async () => {
  const world = opened({ isNew: true });
  await asked(world);
  const id = world.thread.send("And then?");
  const waits = world.page.socket.sent.at(-1);
  world.page.socket.says({ type: "accepted", request: waits.request, thread: "t", run: waits.input.runId, queued: true });
  await settled();
  const nothing = runStarted({ input: { ...waits.input, messages: [] } });
  const error = { type: "RUN_ERROR", code: "forbidden", message: "The user may not do this." };
  world.page.socket.says(finished("1-2"), { ...nothing, id: "1-3" }, { id: "1-4", thread: "t", chunk: error });
  const { delivery, problem } = world.thread.conversation.item(`user:${id}`);
  assert.deepEqual([delivery, problem.code, problem.retry], ["failed", "forbidden", false]);
  assert.deepEqual(world.outbox.commands, []);
});

test("what was called off is not refused as well when its turn comes and one may write no more", async () => {
  const world = opened({ isNew: true });
  await asked(world);
  const id = world.thread.send("And then?");
  const waits = world.page.socket.sent.at(-1);
  world.page.socket.says({ type: "accepted", request: waits.request, thread: "t", run: waits.input.runId, queued: true });
  await settled();
  const called = world.thread.callOff(id);
  const { request } = world.page.socket.sent.at(-1);
  world.page.socket.says({ type: "cancelled", request, run: waits.input.runId, id: "1-1" });
  await called;
  const nothing = runStarted({ input: { ...waits.input, messages: [] } });
  world.page.socket.says(finished("1-2"), { ...nothing, id: "1-3" });
  assert.equal(world.thread.conversation.item(`user:${id}`).delivery, "called-off");
});

test("what waits in a thread that is gone is not asked again", async () => {
  const world = opened({ isNew: true });
  await asked(world);
  world.thread.send("And then?");
  const waits = world.page.socket.sent.at(-1);
  world.page.socket.says({ type: "accepted", request: waits.request, thread: "t", run: waits.input.runId, queued: true });
  await settled();
  assert.equal(world.outbox.commands.length, 1);
  world.thread.gone("deleted");
  assert.deepEqual(world.outbox.commands, []);
});

test("a connection that is lost is followed on, after the last position", async () => {
  const world = opened({ isNew: true });
  await asked(world);
  world.page.socket.ends(1006);
  world.thread.lost();
  world.page.clock.turn(1_000);
  world.page.socket.says(READY);
  assert.deepEqual(world.page.socket.sent.map(({ request, ...frame }) => frame), [{ type: "follow", thread: "t", after: "1-1" }]);
});

test("a refused question can be sent again as the same run, or taken back", async () => {
  const world = opened({ isNew: true });
  const id = world.thread.send("Hello");
  const [run] = world.page.socket.sent;
  world.page.socket.says({ type: "error", request: run.request, code: "thread_busy", message: "", retry: true });
  await settled();
  const follow = world.page.socket.sent.at(-1);
  world.page.socket.says({ type: "followed", request: follow.request, thread: "t", resume: "unknown" });
  assert.equal(world.thread.ended, null, "there is no thread yet, and that is no problem");
  assert.equal(world.thread.conversation.items[0].delivery, "failed");
  assert.equal(world.thread.status, "none");
  assert.deepEqual(world.outbox.commands, []);
  world.thread.resend(id);
  assert.deepEqual(world.page.socket.sent.at(-1).input, run.input);
  world.page.socket.says({ type: "error", request: world.page.socket.sent.at(-1).request, code: "internal", message: "", retry: true });
  await settled();
  assert.equal(world.thread.takeBack(id), "Hello");
  assert.deepEqual(world.thread.conversation.items, []);
});

test("what was not taken in a new thread may be taken back before the thread is unknown", async () => {
  const world = opened({ isNew: true });
  const id = world.thread.send("x");
  const [run] = world.page.socket.sent;
  world.page.socket.says({ type: "error", request: run.request, code: "too_big", message: "", retry: false });
  await settled();
  world.thread.takeBack(id);
  const follow = world.page.socket.sent.at(-1);
  assert.equal(follow.type, "follow");
  world.page.socket.says({ type: "followed", request: follow.request, thread: "t", resume: "unknown" });
  assert.equal(world.thread.ended, null);
});

test("a thread that is not there says so", () => {
  const world = opened();
  const [follow] = world.page.socket.sent;
  world.page.socket.says({ type: "followed", request: follow.request, thread: "t", resume: "unknown" });
  assert.equal(world.thread.ended.reason, "unknown");
});

test("stop cancels the run that is active, once", async () => {
  const world = opened({ isNew: true });
  await world.thread.stop();
  assert.deepEqual(world.kinds(), []);
  const run = await asked(world);
  const stopping = world.thread.stop();
  world.thread.stop();
  assert.equal(world.thread.status, "cancelling");
  const cancels = world.page.socket.sent.filter((frame) => frame.type === "cancel");
  assert.deepEqual(cancels.map(({ request, ...frame }) => frame), [{ type: "cancel", thread: "t", run: run.input.runId }]);
  world.page.socket.says({ type: "cancelled", request: cancels[0].request, run: run.input.runId, id: "1-1" });
  await stopping;
  assert.equal(world.thread.status, "cancelling");
  world.page.socket.says(finished("1-2", { type: "cancelled" }));
  assert.equal(world.thread.status, "cancelled");
  assert.deepEqual(world.told.ended, ["cancelled"]);
});

test("a stop that was refused lets the run go on, and tells why", async () => {
  const world = opened({ isNew: true });
  await asked(world);
  const stopping = world.thread.stop();
  world.page.socket.says({ type: "error", request: world.page.socket.sent.at(-1).request, code: "store_failed", message: "", retry: true });
  await stopping;
  assert.equal(world.thread.status, "running");
  assert.deepEqual(world.told.problems, ["store_failed"]);
});

test("a decision is sent, and who made it is shown", async () => {
  const world = opened({ isNew: true });
  await asked(world);
  world.page.socket.says(finished("1-2", { type: "interrupt", interrupts: [{ id: "i", reason: "approval" }] }));
  assert.equal(world.thread.status, "awaiting");
  const deciding = world.thread.decide("i", { approved: true });
  const { request, ...sent } = world.page.socket.sent.at(-1);
  assert.deepEqual(sent, { type: "decide", thread: "t", interrupt: "i", payload: { approved: true }, status: "resolved" });
  world.page.socket.says({ type: "decided", request, interrupt: "i", by: "bob", won: false, status: "resolved", payload: { approved: false } });
  assert.equal(await deciding, true);
  assert.deepEqual(world.thread.conversation.item("question:i").answer, { status: "resolved", payload: { approved: false }, by: "bob", won: false });
});

test("who leaves is not followed any more, and what was sent is still delivered", async () => {
  const world = opened({ isNew: true });
  world.thread.send("Hello");
  const [run] = world.page.socket.sent;
  world.thread.leave();
  world.page.socket.says(accepted(run));
  await settled();
  assert.deepEqual(world.kinds(), ["run"]);
  assert.deepEqual(world.outbox.commands, []);
});

test("in a thread that is gone nothing goes on", async () => {
  for (const replayed of [false, true]) {
    const world = opened({ isNew: !replayed });
    const { thread, page } = world;
    if (!replayed) await asked(world);
    else {
      const [{ request }] = page.socket.sent;
      page.socket.says({ type: "followed", request, thread: "t", resume: "replay", id: "1-0", run: { id: "b", status: "running" } });
    }
    assert.equal(thread.status, "running");
    thread.gone("denied");
    assert.equal(thread.status, "none");
  }
});

test("a thread that was deleted under it ends", () => {
  const world = opened();
  world.thread.gone("deleted");
  assert.equal(world.thread.ended.reason, "deleted");
  world.thread.ready();
  assert.deepEqual(world.kinds(), ["follow"], "only the one from before");
});

test("who answered is asked of the server, once, because the log does not say it", async () => {
  let calls = 0;
  const interrupts = async () => (calls++, [{ id: "q", by: "bob" }, { id: "other", by: null }]);
  const world = opened({ isNew: true, interrupts });
  await asked(world);
  const question = { type: "interrupt", interrupts: [{ id: "q", reason: "approval" }] };
  const input = { resume: [{ interruptId: "q", status: "resolved", payload: true }] };
  world.page.socket.says(
    finished("1-2", question),
    { id: "1-3", thread: "t", chunk: { type: "RUN_STARTED", threadId: "t", runId: "y", input } },
    finished("1-4"),
    { id: "1-5", thread: "t", chunk: { type: "RUN_STARTED", threadId: "t", runId: "z" } },
  );
  await settled();
  const { answer } = world.thread.conversation.item("question:q");
  assert.deepEqual(answer, { status: "resolved", payload: true, by: "bob" });
  assert.equal(calls, 1);
});

test("of the runs of a thread that is opened none has just ended, but for one that asks", async () => {
  const run = (at, id, outcome) => [
    { id: `1-${at}`, thread: "t", chunk: { type: "RUN_STARTED", threadId: "t", runId: id, input: { messages: [] } } },
    { id: `1-${at + 1}`, thread: "t", chunk: { type: "RUN_FINISHED", threadId: "t", runId: id, outcome } },
  ];
  const asking = { type: "interrupt", interrupts: [{ id: "q", reason: "approval" }] };
  const answered = (followed, ...frames) => {
    const world = opened();
    const [{ request }] = world.page.socket.sent;
    world.page.socket.says({ type: "followed", request, thread: "t", ...followed }, ...frames);
    return world.told.ended;
  };
  const opens = (status, ...frames) => answered({ resume: "replay", id: "1-0", run: { id: "b", status } }, ...frames);
  const summed = (outcome) => answered({ resume: "snapshot", id: "1-9", prelude: run(1, "b", outcome).map(({ chunk }) => chunk) });
  assert.deepEqual(opens("finished", ...run(1, "a"), ...run(3, "b")), []);
  assert.deepEqual(opens("finished", ...run(1, "a"), ...run(3, "b"), ...run(5, "c")), ["finished"]);
  assert.deepEqual(opens("running", ...run(1, "a"), ...run(3, "b")), ["finished"]);
  assert.deepEqual(opens("awaiting", ...run(1, "a", asking), ...run(3, "b", asking)), ["awaiting"]);
  assert.deepEqual([summed(), summed(asking)], [[], ["awaiting"]]);
});

test("what is replayed of a run that has ended is nothing that goes on", () => {
  const begins = (at, id) => ({ id: `1-${at}`, thread: "t", chunk: { type: "RUN_STARTED", threadId: "t", runId: id, input: { messages: [] } } });
  const world = opened();
  const { page, thread } = world;
  const followed = (status, id = "1-0") => {
    const { request } = page.socket.sent.at(-1);
    page.socket.says({ type: "followed", request, thread: "t", resume: "replay", id, run: { id: "b", status } });
  };
  const seen = [];
  const says = (...frames) => {
    for (const frame of frames) {
      page.socket.says(frame);
      seen.push(thread.status);
    }
  };
  followed("finished");
  says(begins(1, "a"), finished("1-2"), begins(3, "b"));
  thread.stop();
  assert.deepEqual(world.kinds(), ["follow"], "there is nothing to stop");
  page.socket.ends(1006);
  thread.lost();
  page.clock.turn(1_000);
  page.socket.says(READY);
  followed("finished", "1-3");
  says(finished("1-4"), begins(5, "c"), finished("1-6"));
  assert.deepEqual(seen, ["none", "none", "none", "finished", "running", "finished"]);
  assert.equal(world.told.arrived, 1);
});

test("while earlier runs are replayed it is the newest that goes on and can be stopped", () => {
  const { page, thread, told } = opened();
  const [{ request }] = page.socket.sent;
  page.socket.says(
    { type: "followed", request, thread: "t", resume: "replay", id: "1-0", run: { id: "b", status: "running" } },
    { id: "1-1", thread: "t", chunk: { type: "RUN_STARTED", threadId: "t", runId: "a", input: { messages: [] } } },
    finished("1-2"),
  );
  assert.equal(thread.status, "running");
  thread.stop();
  assert.equal(page.socket.sent.at(-1).run, "b");
  assert.equal(thread.status, "cancelling");
  assert.deepEqual(told.ended, []);
});
