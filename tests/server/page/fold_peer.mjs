// Folds the streams of events that come on standard input, one JSON array a line, and prints the
// items of each as a line. test_page.py compares them with what the server's own fold says.

import { createInterface } from "node:readline";

import { Conversation } from "../../../src/netra_backend/server/page/fold.js";

for await (const line of createInterface({ input: process.stdin })) {
  const conversation = new Conversation();
  for (const event of JSON.parse(line)) conversation.apply(event);
  const { run, steps, progress, active } = conversation;
  const items = conversation.items.map(({ version, ...item }) => item);
  process.stdout.write(`${JSON.stringify({ items, run, steps, progress, active })}\n`);
}
