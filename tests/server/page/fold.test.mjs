import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation } from "../../../src/netra_backend/server/page/fold.js";
import { textOf } from "../../../src/netra_backend/server/page/items.js";

const folded = (...events) => {
  const conversation = new Conversation();
  for (const event of events) conversation.apply(event);
  return conversation;
};
const started = (runId = "r1", input = {}) => ({ type: "RUN_STARTED", threadId: "t", runId, input });
const finished = (outcome = undefined, runId = "r1") => ({ type: "RUN_FINISHED", threadId: "t", runId, outcome });
const text = (id, ...deltas) => [
  { type: "TEXT_MESSAGE_START", messageId: id, role: "assistant" },
  ...deltas.map((delta) => ({ type: "TEXT_MESSAGE_CONTENT", messageId: id, delta })),
];
const endOf = (id) => ({ type: "TEXT_MESSAGE_END", messageId: id });
const call = (id, name = "find") => ({ type: "TOOL_CALL_START", toolCallId: id, toolCallName: name });
const asks = (id, more = {}) => ({ type: "interrupt", interrupts: [{ id, reason: "approval", message: "May I?", ...more }] });
const shown = (conversation) => conversation.items.map(({ version, ...item }) => item);
const keys = (conversation) => conversation.items.map((item) => item.key);

test("a whole run: question, thinking, tool call, answer", () => {
  const conversation = folded(
    started("r1", { messages: [{ id: "u1", role: "user", content: "Hello" }] }),
    { type: "STEP_STARTED", stepName: "search" },
    { type: "REASONING_START", messageId: "k" },
    { type: "REASONING_MESSAGE_START", messageId: "k", role: "reasoning" },
    { type: "REASONING_MESSAGE_CONTENT", messageId: "k", delta: "Hm" },
    { type: "REASONING_MESSAGE_END", messageId: "k" },
    { type: "REASONING_END", messageId: "k" },
    call("c1"),
    { type: "TOOL_CALL_ARGS", toolCallId: "c1", delta: '{"q":' },
    { type: "TOOL_CALL_ARGS", toolCallId: "c1", delta: "1}" },
    { type: "TOOL_CALL_END", toolCallId: "c1" },
    { type: "TOOL_CALL_RESULT", messageId: "m", toolCallId: "c1", content: "found" },
    { type: "STEP_FINISHED", stepName: "search" },
    ...text("a1", "Hi ", "there"),
    endOf("a1"),
    finished(),
  );
  assert.deepEqual(shown(conversation), [
    { key: "user:u1", kind: "user", id: "u1", text: "Hello", open: false, by: null, delivery: "sent", problem: null },
    { key: "thinking:k", kind: "thinking", id: "k", text: "Hm", open: false },
    { key: "tool:c1", kind: "tool", id: "c1", name: "find", args: '{"q":1}', result: "found", failed: false, status: "done" },
    { key: "answer:a1", kind: "answer", id: "a1", text: "Hi there", open: false },
  ]);
  assert.deepEqual(conversation.run, { id: "r1", status: "finished" });
  assert.deepEqual(conversation.steps, []);
});

test("while it runs, the open step and the state of a tool call are known", () => {
  const conversation = folded(started(), { type: "STEP_STARTED", stepName: "a" }, { type: "STEP_STARTED", stepName: "b" }, call("c"));
  assert.deepEqual(conversation.steps, ["a", "b"]);
  assert.equal(conversation.item("tool:c").status, "calling");
  conversation.apply({ type: "TOOL_CALL_END", toolCallId: "c" });
  conversation.apply({ type: "STEP_FINISHED", stepName: "b" });
  assert.equal(conversation.item("tool:c").status, "running");
  assert.deepEqual(conversation.steps, ["a"]);
  assert.equal(conversation.active, true);
});

test("what the person said is shown once: the log confirms it by its id", () => {
  const conversation = new Conversation();
  conversation.addPending("u1", "Hello");
  assert.equal(conversation.items[0].delivery, "pending");
  conversation.apply(started("r1", { messages: [{ id: "u1", role: "user", content: "Hello" }] }));
  assert.equal(conversation.items.length, 1);
  assert.equal(conversation.items[0].delivery, "sent");
  conversation.setProblem("u1", { text: "late" });
  conversation.removePending("u1");
  assert.equal(conversation.items[0].delivery, "sent", "what the log has cannot fail or be taken back");
});

test("a message that was refused says why, and can be taken back", () => {
  const conversation = new Conversation();
  const problem = { text: "busy" };
  conversation.addPending("u1", "Hello");
  conversation.setProblem("u1", problem);
  assert.deepEqual([conversation.items[0].delivery, conversation.items[0].problem], ["failed", problem]);
  conversation.setProblem("u1", null);
  assert.equal(conversation.items[0].delivery, "pending");
  conversation.removePending("u1");
  assert.deepEqual(conversation.items, []);
});

test("what is unsent comes after what the log has, and then stands where the log has it", () => {
  const conversation = folded(started("r1", { messages: [{ id: "u1", role: "user", content: "one" }] }));
  conversation.addPending("u2", "two");
  conversation.addPending("u3", "three");
  for (const event of [...text("a1", "x"), endOf("a1"), finished()]) conversation.apply(event);
  assert.deepEqual(keys(conversation), ["user:u1", "answer:a1", "user:u2", "user:u3"]);
  conversation.apply(started("r2", { messages: [{ id: "u3", role: "user", content: "three" }] }));
  for (const event of text("a2", "y")) conversation.apply(event);
  assert.deepEqual(keys(conversation), ["user:u1", "answer:a1", "user:u3", "answer:a2", "user:u2"]);
});

test("each way to end badly leaves an ending, and nothing stays open", () => {
  const ends = {
    cancelled: finished({ type: "cancelled" }),
    interrupted: { type: "RUN_ERROR", message: "stopped", code: "interrupted" },
    timed_out: { type: "RUN_ERROR", message: "slow", code: "timeout" },
    failed: { type: "RUN_ERROR", message: "broken", code: "agent_failed" },
  };
  for (const [status, end] of Object.entries(ends)) {
    const conversation = folded(started(), call("c"), ...text("a", "half"), end);
    const last = conversation.items.at(-1);
    assert.equal(last.kind, "ending");
    assert.equal(last.status, status);
    assert.equal(conversation.run.status, status);
    assert.equal(conversation.item("answer:a").open, false);
    assert.equal(conversation.item("tool:c").status, "unanswered");
    assert.equal(conversation.active, false);
  }
});

test("ending well leaves nothing behind, with an outcome or without", () => {
  for (const outcome of [undefined, { type: "success" }]) {
    assert.deepEqual(keys(folded(started(), ...text("a", "x"), endOf("a"), finished(outcome))), ["answer:a"]);
  }
});

test("a question waits, marks its tool call, and is answered by the run that goes on", () => {
  const conversation = folded(
    started(),
    call("c"),
    { type: "TOOL_CALL_END", toolCallId: "c" },
    finished(asks("i1", { toolCallId: "c" })),
  );
  assert.equal(conversation.run.status, "awaiting");
  assert.equal(conversation.item("tool:c").status, "waiting");
  assert.equal(conversation.item("question:i1").answer, null);
  conversation.answered("i1", { status: "resolved", payload: { approved: true }, by: "ann", won: true });
  conversation.apply(started("r2", { resume: [{ interruptId: "i1", status: "resolved", payload: { approved: true } }] }));
  assert.deepEqual(conversation.item("question:i1").answer, { status: "resolved", payload: { approved: true }, by: "ann", won: true });
  assert.equal(conversation.item("tool:c").status, "running");
  conversation.apply(finished(undefined, "r2"));
  assert.equal(conversation.item("tool:c").status, "unanswered");
});

test("an item's version changes when it does, and only then", () => {
  const conversation = folded(started(), ...text("a", "x"), endOf("a"), ...text("b", "y"));
  const [a, b] = conversation.items.map((item) => item.version);
  conversation.apply({ type: "TEXT_MESSAGE_CONTENT", messageId: "b", delta: "z" });
  assert.equal(conversation.items[0].version, a);
  assert.notEqual(conversation.items[1].version, b);
});

test("unknown and senseless events change nothing and break nothing", () => {
  const conversation = folded(started(), ...text("a", "x"));
  const before = JSON.stringify(conversation.items);
  const odd = [
    { type: "HOLOGRAM_STARTED", id: 1 },
    { type: "CUSTOM", name: "n", value: 1 },
    { type: "RAW", event: {} },
    { type: "constructor" },
    { type: "toString" },
    { type: null },
    {},
    null,
    undefined,
    { type: "TEXT_MESSAGE_CONTENT", messageId: "nobody", delta: "x" },
    { type: "TOOL_CALL_ARGS", toolCallId: "nobody", delta: "x" },
    { type: "STEP_FINISHED", stepName: "nobody" },
    { type: "STATE_SNAPSHOT", snapshot: {} },
    { type: "STATE_DELTA", delta: [] },
    { type: "ACTIVITY_DELTA", messageId: "nobody", patch: [] },
    { type: "SUBAGENT_STARTED", subagentRunId: "s", name: "s" },
    { type: "REASONING_ENCRYPTED_VALUE", subtype: "message", entityId: "a", encryptedValue: "x" },
  ];
  for (const event of odd) conversation.apply(event);
  assert.equal(JSON.stringify(conversation.items), before);
});

test("a snapshot of messages shows every role, calls with their results", () => {
  const conversation = folded(started(), {
    type: "MESSAGES_SNAPSHOT",
    messages: [
      { id: "s", role: "system", content: "Be brief." },
      { id: "d", role: "developer", content: "Note." },
      { id: "u", role: "user", content: [{ type: "text", text: "See" }, { type: "image", source: {} }] },
      { id: "k", role: "reasoning", content: "Hm" },
      { id: "a", role: "assistant", content: "I look.", toolCalls: [{ id: "c", type: "function", function: { name: "find", arguments: "{}" } }] },
      { id: "r", role: "tool", toolCallId: "c", content: "yes" },
      { id: "e", role: "tool", toolCallId: "gone", content: "", error: "no such file" },
      { id: "p", role: "activity", activityType: "plan", content: { n: 1 } },
    ],
  });
  assert.deepEqual(keys(conversation), ["note:s", "note:d", "user:u", "thinking:k", "answer:a", "tool:c", "tool:gone", "activity:p"]);
  assert.equal(conversation.item("user:u").text, "See\n[image]");
  assert.deepEqual([conversation.item("tool:c").result, conversation.item("tool:c").status], ["yes", "done"]);
  assert.deepEqual([conversation.item("tool:gone").result, conversation.item("tool:gone").status], ["no such file", "failed"]);
});

test("a snapshot replaces, and what no snapshot can have keeps its place", () => {
  const conversation = folded(
    started("r1", { messages: [{ id: "u1", role: "user", content: "one" }] }),
    { type: "REASONING_MESSAGE_START", messageId: "k", role: "reasoning" },
    { type: "REASONING_MESSAGE_END", messageId: "k" },
    ...text("a1", "first"),
    endOf("a1"),
    finished({ type: "cancelled" }),
    started("r2", { messages: [{ id: "u2", role: "user", content: "two" }] }),
    ...text("a2", "old"),
    endOf("a2"),
    ...text("a3", "being writ"),
  );
  conversation.addPending("u3", "unsent");
  conversation.apply({
    type: "MESSAGES_SNAPSHOT",
    messages: [
      { id: "new", role: "assistant", content: "new" },
      { id: "u1", role: "user", content: "one" },
      { id: "u2", role: "user", content: "two" },
      { id: "a2", role: "assistant", content: "better" },
    ],
  });
  assert.deepEqual(keys(conversation), ["user:u1", "thinking:k", "ending:r1", "user:u2", "answer:a2", "answer:a3", "answer:new", "user:u3"]);
  assert.equal(conversation.item("answer:a2").text, "better");
  conversation.apply({ type: "TEXT_MESSAGE_CONTENT", messageId: "a3", delta: "ten" });
  assert.equal(conversation.item("answer:a3").text, "being written");
});

test("a message that a snapshot brought half written is continued", () => {
  const conversation = folded(
    started(),
    { type: "MESSAGES_SNAPSHOT", messages: [{ id: "a", role: "assistant", content: "Hel", toolCalls: [{ id: "c", type: "function", function: { name: "find", arguments: "{" } }] }] },
    { type: "TEXT_MESSAGE_START", messageId: "a", role: "assistant" },
    call("c"),
    { type: "TEXT_MESSAGE_CONTENT", messageId: "a", delta: "lo" },
    { type: "TOOL_CALL_ARGS", toolCallId: "c", delta: "}" },
  );
  assert.deepEqual([conversation.item("answer:a").text, conversation.item("answer:a").open], ["Hello", true]);
  assert.deepEqual([conversation.item("tool:c").args, conversation.item("tool:c").status], ["{}", "calling"]);
  assert.equal(conversation.items.length, 2);
});

test("an activity is shown, replaced and patched", () => {
  const activity = (content, more = {}) => ({ type: "ACTIVITY_SNAPSHOT", messageId: "p", activityType: "plan", content, ...more });
  const conversation = folded(started(), activity({ n: 1 }), activity({ n: 2 }, { replace: false }));
  assert.deepEqual(conversation.item("activity:p").content, { n: 1 });
  conversation.apply(activity({ n: 3 }));
  conversation.apply({ type: "ACTIVITY_DELTA", messageId: "p", activityType: "plan", patch: [{ op: "add", path: "/m", value: 4 }] });
  assert.deepEqual(conversation.item("activity:p").content, { n: 3, m: 4 });
});

test("the status of a `followed` frame settles what events do not say", () => {
  const running = folded(started("r1"));
  running.settle({ id: "r1", status: "cancelling" });
  assert.deepEqual(running.run, { id: "r1", status: "cancelling" });

  const unaware = folded();
  unaware.settle({ id: "r1", status: "interrupted" });
  assert.equal(unaware.items.at(-1).status, "interrupted");

  const ended = folded(started("r1"), finished({ type: "cancelled" }));
  ended.settle({ id: "r1", status: "cancelled" });
  assert.deepEqual(keys(ended), ["ending:r1"], "an end is shown once");
  ended.settle(undefined);
  assert.equal(ended.run.status, "cancelled");
});

test("a cancel that was acknowledged is only for the run that is active", () => {
  const conversation = folded(started("r1"));
  conversation.cancelling("r0");
  assert.equal(conversation.run.status, "running");
  conversation.cancelling("r1");
  assert.equal(conversation.run.status, "cancelling");
  assert.equal(conversation.active, true);
  conversation.apply(finished({ type: "cancelled" }));
  conversation.cancelling("r1");
  assert.equal(conversation.run.status, "cancelled");
});

test("a reset forgets the log and keeps what was not delivered", () => {
  const conversation = folded(started(), ...text("a", "x"));
  conversation.addPending("u", "unsent");
  conversation.reset();
  assert.deepEqual(keys(conversation), ["user:u"]);
  assert.equal(conversation.run, null);
  assert.equal(conversation.item("answer:a"), undefined);
});

test("content is text, whatever its shape", () => {
  assert.equal(textOf(undefined), "");
  assert.equal(textOf(null), "");
  assert.equal(textOf("x"), "x");
  assert.equal(textOf([{ type: "text", text: "a" }, { type: "audio" }, null]), "a\n[audio]\n[part]");
  assert.equal(textOf({ a: 1 }), '{\n  "a": 1\n}');
});

const marks = (...value) => ({ type: "CUSTOM", name: "netra.runs", value });
const said = (id) => ({ id, role: "user", content: id });
const snapshot = (...messages) => ({ type: "MESSAGES_SNAPSHOT", messages });
const broken = { type: "RUN_ERROR", message: "it broke", code: "agent_failed" };

test("a prelude puts what earlier runs left at its place, in the order of the runs", () => {
  const conversation = folded(
    started("r5"),
    snapshot(said("u1"), said("u2")),
    marks(
      { run: "r0", end: broken },
      { run: "r1", after: "u1", end: finished({ type: "interrupt", interrupts: [{ id: "i1" }, { id: "i2" }] }) },
      { run: "r2", after: "u1", resume: [{ interruptId: "i2", status: "resolved", payload: 7 }], end: broken },
      { run: "r3", after: "u2", end: finished({ type: "cancelled" }) },
    ),
    ...text("a", "x"),
  );
  const order = ["ending:r0", "user:u1", "question:i1", "question:i2", "ending:r2", "user:u2", "ending:r3", "answer:a"];
  assert.deepEqual(keys(conversation), order);
  assert.equal(conversation.item("question:i1").answer, null);
  assert.deepEqual(conversation.item("question:i2").answer, { status: "resolved", payload: 7 });
  assert.equal(conversation.item("ending:r2").message, "it broke");
  assert.deepEqual(conversation.run, { id: "r5", status: "running" });
});

test("a prelude leaves what was not sent yet at the end", () => {
  const conversation = folded(started("r1", { messages: [said("u1")] }));
  conversation.addPending("u9", "later");
  conversation.reset();
  for (const event of [started("r2"), snapshot(said("u1")), marks({ run: "r1", after: "u1", end: broken })]) {
    conversation.apply(event);
  }
  assert.deepEqual(keys(conversation), ["user:u1", "ending:r1", "user:u9"]);
});

test("a tool call that an earlier run asked about waits, works on, or is left, as before a snapshot", () => {
  const call = { id: "c", type: "function", function: { name: "find", arguments: "{}" } };
  const messages = [said("u1"), { id: "m", role: "assistant", toolCalls: [call] }];
  const asked = { run: "r1", after: "m", end: finished(asks("i1", { toolCallId: "c" })) };
  const resumed = (run) => ({ run, resume: [{ interruptId: "i1", status: "resolved" }] });
  const status = (newest, ...told) => folded(started(newest), snapshot(...messages), marks(...told)).item("tool:c").status;
  assert.equal(status("r2", asked), "waiting");
  assert.equal(status("r2", asked, resumed("r2")), "running");
  assert.equal(status("r3", asked, resumed("r2")), "unanswered");
});

test("a message says which member it is of, also in a snapshot; one of the owner says nobody", () => {
  const metadata = { netra: { user: "bob" } };
  const messages = [{ id: "u1", role: "user", content: "mine" }, { id: "u2", role: "user", content: "his", metadata }];
  for (const event of [started("r1", { messages }), { type: "MESSAGES_SNAPSHOT", messages }]) {
    const conversation = new Conversation();
    conversation.addPending("u2", "his");
    conversation.apply(event);
    assert.deepEqual(["u1", "u2"].map((id) => conversation.item(`user:${id}`).by), [null, "bob"]);
  }
});
