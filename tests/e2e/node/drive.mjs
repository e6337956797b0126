// Lets a test drive a client: a line of JSON on stdin is a call, lines on stdout are what it tells.

import { createInterface } from "node:readline";

const [url, token] = process.argv.slice(2);
export const server = { url, socketUrl: url.replace(/^http/, "ws"), token };
export const headers = { Authorization: `Bearer ${token}` };

/** The tool that a page has, where it is the page's to answer. */
export const weather = {
  name: "weather",
  description: "Tell the weather in a city.",
  parameters: { type: "object", properties: { city: { type: "string" } } },
  answer: ({ city }) => `sunny in ${city}`,
};

// A stream that is cut also rejects a promise that some clients forget: a page only logs that.
process.on("unhandledRejection", () => {});

/** Serve `calls`: functions of (arguments, tell) that return or resolve to a result. */
export function drive(calls) {
  const say = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { id, call, args } = JSON.parse(line);
    try {
      const result = await calls[call](args, (event) => say({ id, event }));
      say({ id, result: result ?? null });
    } catch (error) {
      say({ id, failure: String(error?.stack ?? error) });
    }
  });
  lines.on("close", () => process.exit(0));
}
