import assert from "node:assert/strict";
import { test } from "node:test";

import { ThreadList } from "../../../src/netra_backend/server/page/threads.js";

/** A node that bears whatever is done to it, and keeps what listens to it as a method. */
function node() {
  const parts = {};
  return {
    dataset: {},
    children: [],
    querySelector: (name) => (parts[name] ??= node()),
    addEventListener(type, act) {
      this[type] = act;
    },
    insertBefore() {},
    setAttribute() {},
    removeAttribute() {},
    remove() {},
    cloneNode: node,
  };
}

globalThis.document = {
  getElementById: () => ({ content: { firstElementChild: node() } }),
  activeElement: node(), // The focus is none of the list's business here.
};

test("the list hands on what it was just told, and no row of an older page", async () => {
  const own = (n) => ({ id: `o${n}`, role: "owner", updated_at: 1_000 - n });
  const pages = [
    { threads: [own(0), own(1)], next: 9 },
    { threads: [{ id: "alice,t", role: "read", updated_at: 1 }], next: null },
    { threads: [own(0), own(1)], next: 9 },
  ];
  const [more, listed] = [node(), []];
  const list = new ThreadList({ list: node(), more, empty: node() }, { threads: async () => pages.shift() }, {
    onListed: (threads) => listed.push(threads.map(({ id }) => id)),
  });
  await list.refresh();
  await more.click();
  await list.refresh();
  assert.deepEqual(listed, [["o0", "o1"], ["alice,t"], ["o0", "o1"]]);
});

test("nobody is told that there is nothing before the server has said so", async () => {
  const empty = { hidden: true };
  const answers = [new Error("signed out"), { threads: [], next: null }];
  const threads = async () => {
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const list = new ThreadList({ list: node(), more: node(), empty }, { threads }, { onListed() {}, onProblem() {} });
  list.select(null);
  await list.refresh();
  assert.equal(empty.hidden, true);
  await list.refresh();
  assert.equal(empty.hidden, false);
});

test("who may not write, or not answer, sees before long that they may", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let thread;
  let asked = 0;
  const threads = async () => (asked++, { threads: [thread], next: null });
  const list = new ThreadList({ list: node(), more: node(), empty: node() }, { threads }, {
    onListed() {},
    mayAsk: () => true,
  });
  const asksAgain = async (role, questions, open) => {
    thread = { id: "alice,t", role, questions, updated_at: 1 };
    list.select(open);
    await list.refresh();
    asked = 0;
    t.mock.timers.tick(30_000);
    await list.refresh();
    return asked > 1;
  };
  assert.equal(await asksAgain("read", 0, "alice,t"), true);
  assert.equal(await asksAgain("write", 1, "alice,t"), true);
  assert.equal(await asksAgain("write", 0, "alice,t"), false);
  assert.equal(await asksAgain("decide", 1, "alice,t"), false);
  assert.equal(await asksAgain("read", 1, "t"), false);
});
