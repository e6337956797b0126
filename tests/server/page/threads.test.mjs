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
