import assert from "node:assert/strict";
import { test } from "node:test";

import { formatPosition, judge, parsePosition } from "../../../src/netra_backend/server/page/positions.js";

const at = (text) => parsePosition(text);
const verdict = (last, frame) => judge(last && at(last), frame).verdict;

test("a position is read and written as it is on the wire", () => {
  for (const text of ["1-0", "1-42", "1795448795886-9223372036854775807"]) {
    assert.equal(formatPosition(at(text)), text);
  }
  for (const text of ["", "1", "1-", "-1-2", "01-2", "1-02", "1-2-3", " 1-2", "1-2\n", null, 7, {}]) {
    assert.equal(at(text), null, String(text));
  }
  assert.equal(formatPosition(null), "");
});

test("only the first entry comes next when there is nothing yet", () => {
  assert.equal(verdict(null, { id: "3-1" }), "next");
  assert.equal(verdict(null, { id: "3-4", from: "3-1" }), "next");
  assert.equal(verdict(null, { id: "3-2" }), "gap");
  assert.equal(verdict(null, { id: "3-0" }), "duplicate");
});

test("the next frame begins at the last offset plus one", () => {
  assert.deepEqual(judge(at("1-4"), { id: "1-5" }), { verdict: "next", position: at("1-5") });
  assert.deepEqual(judge(at("1-4"), { id: "1-9", from: "1-5" }), { verdict: "next", position: at("1-9") });
});

test("an older frame is a duplicate and changes nothing", () => {
  assert.deepEqual(judge(at("1-4"), { id: "1-4" }), { verdict: "duplicate", position: at("1-4") });
  assert.equal(verdict("1-4", { id: "1-3", from: "1-1" }), "duplicate");
});

test("a hole, an overlap, another epoch and an unreadable position are gaps", () => {
  assert.equal(verdict("1-4", { id: "1-6" }), "gap");
  assert.equal(verdict("1-4", { id: "1-9", from: "1-6" }), "gap");
  assert.equal(verdict("1-4", { id: "1-9", from: "1-3" }), "gap");
  assert.equal(verdict("1-4", { id: "2-5" }), "gap");
  assert.equal(verdict("2-4", { id: "1-3" }), "gap");
  assert.equal(verdict("1-4", { id: "x" }), "gap");
  assert.equal(verdict("1-4", { id: "1-5", from: "x" }), "gap");
  assert.equal(verdict("1-4", { id: "1-5", from: "1-7" }), "gap");
  assert.equal(verdict("1-4", { id: "2-9", from: "1-5" }), "gap");
});

test("offsets beyond what a double can count are told apart", () => {
  assert.equal(verdict("1-9007199254740992", { id: "1-9007199254740993" }), "next");
  assert.equal(verdict("1-9007199254740992", { id: "1-9007199254740994" }), "gap");
});
