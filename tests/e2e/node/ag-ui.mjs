// AG-UI's own client, HttpAgent of 1.0.0 and of 0.0.59, at any path that speaks AG-UI over SSE.

import { HttpAgent } from "@ag-ui/client";
import { HttpAgent as OlderHttpAgent } from "ag-ui-client-0";
import { drive, headers, server, weather } from "./drive.mjs";

const BY = {
  "ag-ui 1.0.0": { Agent: HttpAgent, path: (agent) => `/agui/${agent}`, headers },
  "ag-ui 0.0.59": { Agent: OlderHttpAgent, path: (agent) => `/agui/${agent}`, headers },
  agentcore: {
    Agent: HttpAgent,
    path: () => "/invocations",
    headers: { "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": server.token },
  },
};

/** Run the agent, again for each answer of the page's tool, and return what it shows of the turn. */
async function play({ by, thread, agent, run, text, page }, tell = () => {}) {
  const { Agent, path, headers } = BY[by];
  const client = new Agent({ url: `${server.url}${path(agent)}`, headers, threadId: thread });
  client.addMessage({ id: `question-of-${run}`, role: "user", content: text });
  const { answer, ...tool } = weather;
  const seen = { deltas: "", types: [], error: null };
  const once = (runId) =>
    client.runAgent(
      { runId, tools: page ? [tool] : [] },
      {
        onEvent: ({ event }) => {
          seen.types.push(event.type);
          if (event.type === "RUN_ERROR") seen.error = `${event.code}: ${event.message}`;
          if (event.type === "TEXT_MESSAGE_CONTENT") {
            seen.deltas += event.delta;
            tell("text");
          }
        },
      },
    );
  try {
    await once(run);
    for (const call of (page && client.messages.at(-1).toolCalls) || []) {
      const content = answer(JSON.parse(call.function.arguments));
      client.addMessage({ id: `answer-of-${run}`, role: "tool", toolCallId: call.id, content });
      await once(`${run}-on`);
    }
  } catch (error) {
    seen.error ??= String(error);
  }
  const turn = client.messages.slice(1);
  const of = (role) => turn.filter((message) => message.role === role);
  const results = new Map(of("tool").map((m) => [m.toolCallId, m.content]));
  return {
    ...seen,
    run,
    text: of("assistant").map((m) => m.content ?? "").join(""),
    reasoning: of("reasoning").map((m) => m.content).join(""),
    calls: of("assistant")
      .flatMap((m) => m.toolCalls ?? [])
      .map((call) => ({
        name: call.function.name,
        arguments: JSON.parse(call.function.arguments),
        result: results.get(call.id),
      })),
  };
}

drive({ ask: play, resume: (args) => play(args) });
