import assert from "node:assert/strict";
import { test } from "node:test";

import { Follower } from "../../../src/netra_backend/server/page/follower.js";
import { formatPosition } from "../../../src/netra_backend/server/page/positions.js";
import { Clock } from "./scripted.mjs";

/** A follower whose server is the test. */
function followed() {
  const clock = new Clock();
  const world = { clock, asked: [], events: [], resets: 0, ended: [], delayed: [], moved: [], withdrawn: 0 };
  world.follower = new Follower("t", {
    timers: clock,
    ask: (command, answered) => {
      world.asked.push(command);
      world.answer = (frame) => answered({ type: "followed", thread: "t", ...frame });
      return () => (world.withdrawn += 1);
    },
    onReset: () => {
      world.resets += 1;
      world.events = [];
    },
    onEvent: (event) => world.events.push(event),
    onMoved: (frame) => world.moved.push(frame),
    onDelayed: (refusal) => world.delayed.push(refusal.code),
    onEnded: (reason, refusal) => world.ended.push([reason, refusal?.code]),
  });
  world.takes = (...frames) => frames.forEach((frame) => world.follower.take(frame));
  world.at = () => formatPosition(world.follower.position);
  return world;
}

const frame = (id, from) => ({ id: `1-${id}`, ...(from && { from: `1-${from}` }), thread: "t", chunk: id });

test("a first follow is replayed from the beginning, and then live", () => {
  const world = followed();
  world.follower.follow();
  assert.deepEqual(world.asked, [{ type: "follow", thread: "t" }]);
  world.answer({ resume: "replay", id: "1-0", run: { id: "r", status: "running" } });
  world.takes(frame(3, 1), frame(4));
  assert.deepEqual([world.at(), world.events, world.resets], ["1-4", [3, 4], 1]);
});

test("it continues where it was, on the next connection", () => {
  const world = followed();
  world.follower.follow();
  world.answer({ resume: "replay", id: "1-0" });
  world.takes(frame(1), frame(2));
  world.follower.lost();
  world.takes(frame(3));
  assert.equal(world.at(), "1-2", "frames between two follows are not its own");
  world.follower.follow();
  assert.deepEqual(world.asked[1], { type: "follow", thread: "t", after: "1-2" });
  world.takes(frame(3));
  world.answer({ resume: "replay", id: "1-2" });
  world.takes(frame(5, 3));
  assert.deepEqual([world.at(), world.events, world.resets], ["1-5", [1, 2, 5], 1]);
});

test("a duplicate is ignored", () => {
  const world = followed();
  world.follower.follow();
  world.answer({ resume: "replay", id: "1-0" });
  world.takes(frame(1), frame(2), frame(2), frame(1), frame(2, 1), frame(3));
  assert.deepEqual(world.events, [1, 2, 3]);
  assert.equal(world.asked.length, 1);
});

test("a gap is not applied: the rest is asked for again", () => {
  const world = followed();
  world.follower.follow();
  world.answer({ resume: "replay", id: "1-0" });
  world.takes(frame(1), frame(3), frame(4));
  assert.deepEqual([world.events, world.at()], [[1], "1-1"]);
  assert.deepEqual(world.asked[1], { type: "follow", thread: "t", after: "1-1" });
  assert.equal(world.asked.length, 2, "what still comes of the old follow is not judged");
  world.answer({ resume: "replay", id: "1-1" });
  world.takes(frame(2), frame(3), frame(4));
  assert.deepEqual(world.events, [1, 2, 3, 4]);
});

test("a frame that overlaps what was applied is a gap: it cannot be applied in part", () => {
  const world = followed();
  world.follower.follow();
  world.answer({ resume: "replay", id: "1-0" });
  world.takes(frame(3, 1), frame(5, 2));
  assert.deepEqual(world.asked[1], { type: "follow", thread: "t", after: "1-3" });
  assert.deepEqual(world.events, [3]);
});

test("gaps that do not heal lead back to the beginning, and not in a tight circle", () => {
  const world = followed();
  world.follower.follow();
  world.answer({ resume: "replay", id: "1-0" });
  world.takes(frame(1), frame(3));
  world.answer({ resume: "replay", id: "1-1" });
  world.takes(frame(3));
  world.answer({ resume: "replay", id: "1-1" });
  world.takes(frame(3));
  assert.equal(world.asked.length, 3, "the third in a row waits");
  world.clock.turn(1_000);
  assert.deepEqual(world.asked[3], { type: "follow", thread: "t" });
  world.answer({ resume: "replay", id: "1-0" });
  world.takes(frame(1), frame(2), frame(3));
  assert.deepEqual(world.events, [1, 2, 3], "everything was forgotten first");
});

test("a snapshot, or a gap in the history, replaces everything", () => {
  for (const resume of ["snapshot", "gap"]) {
    const world = followed();
    world.follower.follow();
    world.answer({ resume: "replay", id: "1-0" });
    world.takes(frame(1));
    world.follower.lost();
    world.follower.follow();
    world.answer({ resume, id: "2-70", prelude: ["a", "b"], run: null });
    assert.deepEqual([world.events, world.at(), world.resets], [["a", "b"], "2-70", 2]);
    world.takes({ id: "2-71", thread: "t", chunk: "c" });
    assert.deepEqual(world.events, ["a", "b", "c"]);
  }
});

test("an answer that would skip something is not believed", () => {
  const lies = [
    { resume: "caught_up", id: "1-9" },
    { resume: "caught_up", id: "2-1" },
    { resume: "replay", id: "2-1" },
    { resume: "replay", id: "nonsense" },
    { resume: "replay" },
    { resume: "caught_up" },
  ];
  for (const lie of lies) {
    const world = followed();
    world.follower.follow();
    world.answer({ resume: "replay", id: "1-0" });
    world.takes(frame(1));
    world.follower.lost();
    world.follower.follow();
    world.answer(lie);
    assert.equal(world.follower.state, "asking", JSON.stringify(lie));
    assert.equal(world.at(), "1-1");
  }
  const fresh = followed();
  fresh.follower.follow();
  fresh.answer({ resume: "caught_up", id: "1-5" });
  assert.equal(fresh.follower.state, "asking", "nothing is caught up with five events unseen");
});

test("being caught up is believed", () => {
  const empty = followed();
  empty.follower.follow();
  empty.answer({ resume: "caught_up", id: "1-0" });
  empty.takes(frame(1));
  assert.deepEqual(empty.events, [1]);
  empty.follower.lost();
  empty.follower.follow();
  empty.answer({ resume: "caught_up", id: "1-1", run: { id: "r", status: "running" } });
  empty.takes(frame(2));
  assert.deepEqual(empty.events, [1, 2]);
  assert.equal(empty.moved.filter(Boolean).length, 2);
});

test("denied and unknown end it, until it is asked to follow again", () => {
  for (const resume of ["denied", "unknown"]) {
    const world = followed();
    world.follower.follow();
    world.answer({ resume });
    assert.deepEqual(world.ended, [[resume, undefined]]);
    world.takes(frame(1));
    world.follower.lost();
    assert.equal(world.follower.state, "ended");
    world.follower.follow();
    world.answer({ resume: "replay", id: "1-0" });
    world.takes(frame(1));
    assert.deepEqual(world.events, [1]);
  }
});

test("a refusal that may pass is asked again, one that may not is told", () => {
  const world = followed();
  world.follower.follow();
  world.answer({ type: "error", code: "store_failed", message: "", retry: true });
  assert.equal(world.asked.length, 1);
  assert.deepEqual(world.delayed, ["store_failed"], "whoever waits is told why");
  for (const [round, pause] of [1_000, 2_000, 4_000, 8_000, 16_000, 16_000].entries()) {
    world.clock.turn(pause - 1);
    assert.equal(world.asked.length, round + 1);
    world.clock.turn(1);
    assert.equal(world.asked.length, round + 2);
    world.answer({ type: "error", code: "store_failed", message: "", retry: true });
  }
  world.clock.turn(16_000);
  const asked = world.asked.length;
  world.answer({ type: "error", code: "bad_input", message: "no", retry: false });
  assert.deepEqual(world.ended, [["refused", "bad_input"]]);
  world.clock.turn(60_000);
  assert.equal(world.asked.length, asked);
});

test("the end withdraws what is asked and leaves no timer", () => {
  const world = followed();
  world.follower.follow();
  world.answer({ type: "error", code: "store_failed", message: "", retry: true });
  world.follower.end();
  assert.equal(world.clock.pending, 0);
  world.follower.follow();
  const before = world.withdrawn;
  world.follower.end();
  assert.equal(world.withdrawn, before + 1);
});
