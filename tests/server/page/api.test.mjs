import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { Api } from "../../../src/netra_backend/server/page/api.js";

test("an answer that breaks off is one of a server that cannot be reached", async (t) => {
  const server = createServer((_, response) => {
    response.writeHead(200, { "Content-Length": "100" });
    response.write('{"threads":', () => response.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const api = new Api(`http://127.0.0.1:${server.address().port}/`, { headers: {} });
  const asked = [api.threads({ limit: 1 }), api.thread("t"), api.members("t"), api.interrupts("t")];
  const told = await Promise.allSettled(asked);
  assert.deepEqual(told.map(({ reason }) => [reason?.name, reason?.code]), asked.map(() => ["Refusal", "unreachable"]));
});
