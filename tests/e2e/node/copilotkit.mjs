// CopilotKit's core, without its Node runtime: the server is the runtime.

import { CopilotKitCore } from "@copilotkit/core";
import { drive, headers, server, weather } from "./drive.mjs";

// The core connects only where it takes itself to be in a page.
globalThis.window = { location: new URL(server.url) };

const pages = new Map();

/** Return the page of a thread: a core that is connected to the runtime, and what it has seen. */
async function pageOf({ thread, tab = "first", agent = "agent" }) {
  const name = `${thread} ${tab}`;
  if (pages.has(name)) return pages.get(name);
  const page = { errors: [], deltas: "", types: [], tell: () => {} };
  page.core = new CopilotKitCore({
    runtimeUrl: `${server.url}/copilotkit`,
    runtimeTransport: "rest",
    headers,
  });
  page.core.subscribe({ onError: ({ error, code }) => page.errors.push(`${code}: ${error}`) });
  await new Promise((resolve, reject) => {
    const look = () => {
      if (page.core.runtimeConnectionStatus === "connected") resolve();
      else if (page.errors.length) reject(new Error(page.errors.join()));
      else setTimeout(look, 5);
    };
    look();
  });
  page.agent = page.core.getAgent(agent);
  page.agent.threadId = thread;
  page.agent.subscribe({
    onEvent: ({ event }) => {
      page.types.push(event.type);
      if (event.type === "RUN_STARTED") page.run = event.runId;
      if (event.type === "TEXT_MESSAGE_CONTENT") {
        page.deltas += event.delta;
        page.tell("text");
      }
    },
  });
  pages.set(name, page);
  return page;
}

/** Return what the page shows of the last turn. */
function shown({ agent, errors, deltas, types, run }) {
  const asked = agent.messages.findLastIndex((message) => message.role === "user");
  const turn = agent.messages.slice(asked + 1);
  const results = new Map(
    turn.filter((m) => m.role === "tool").map((m) => [m.toolCallId, m.content]),
  );
  return {
    run,
    error: errors[0] ?? null,
    text: turn.filter((m) => m.role === "assistant").map((m) => m.content ?? "").join(""),
    reasoning: turn.filter((m) => m.role === "reasoning").map((m) => m.content).join(""),
    calls: turn
      .flatMap((m) => m.toolCalls ?? [])
      .map((call) => ({
        name: call.function.name,
        arguments: JSON.parse(call.function.arguments),
        result: results.get(call.id),
      })),
    deltas,
    types,
  };
}

drive({
  async info() {
    const { core } = await pageOf({ thread: "info" });
    return { agents: Object.keys(core.agents), version: core.runtimeVersion };
  },

  async ask(args, tell) {
    const page = await pageOf(args);
    Object.assign(page, { deltas: "", types: [], tell });
    if (args.page) {
      const { name, description, answer: handler } = weather;
      page.core.addTool({ name, description, handler });
    }
    page.agent.addMessage({ id: crypto.randomUUID(), role: "user", content: args.text });
    await page.core.runAgent({ agent: page.agent });
    return shown(page);
  },

  /** Show the thread again, as a page that is loaded anew does; a running run goes on. */
  async connect(args, tell) {
    const page = await pageOf(args);
    Object.assign(page, { deltas: "", types: [], tell });
    await page.core.connectAgent({ agent: page.agent });
    return shown(page);
  },

  async stop(args) {
    const page = await pageOf(args);
    page.core.stopAgent({ agent: page.agent });
  },
});
