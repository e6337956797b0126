// TanStack AI's ChatClient over webSocket() and fetchServerSentEvents().

import { ChatClient, fetchServerSentEvents, webSocket } from "@tanstack/ai-client";
import WebSocket from "ws";
import { drive, headers, server, weather } from "./drive.mjs";

class AuthorizedWebSocket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers });
  }
}

const reconnect = { delayMs: 20, maxAttempts: 200 };
const CONNECTIONS = {
  socket: (agent) =>
    webSocket(`${server.socketUrl}/ws?agent=${agent}`, {
      WebSocketImpl: AuthorizedWebSocket,
      reconnect,
    }),
  sse: (agent) => fetchServerSentEvents(`${server.url}/agui/${agent}`, { headers, reconnect }),
};
const chats = new Map();

/** Return the chat of a thread on one of the connections, and what it has seen. */
function chatOf({ by, thread, agent = "agent" }) {
  if (!chats.has(thread)) {
    const chat = { chunks: [], error: null, tell: () => {} };
    chat.client = new ChatClient({
      connection: CONNECTIONS[by](agent),
      threadId: thread,
      onChunk: (chunk) => {
        chat.chunks.push(chunk);
        if (chunk.type === "TEXT_MESSAGE_CONTENT") chat.tell("text");
      },
      onError: (error) => {
        chat.error = String(error);
      },
      onRunIdChange: (id) => {
        if (id) chat.run = id;
      },
    });
    chats.set(thread, chat);
  }
  return chats.get(thread);
}

/** Return what the client shows of the last turn, and the text as its chunks brought it. */
function shown({ client, chunks, error, run }) {
  const messages = client.getMessages();
  const asked = messages.findLastIndex((message) => message.role === "user");
  const parts = messages.slice(asked + 1).flatMap((message) => message.parts);
  const of = (type) => parts.filter((part) => part.type === type);
  return {
    run,
    error,
    text: of("text").map((part) => part.content).join(""),
    reasoning: of("thinking").map((part) => part.content).join(""),
    calls: of("tool-call").map((part) => ({
      name: part.name,
      arguments: JSON.parse(part.arguments),
      result: part.output,
    })),
    deltas: textOf(chunks),
    types: chunks.map((chunk) => chunk.type),
  };
}

const textOf = (chunks) =>
  chunks
    .filter((chunk) => chunk.type === "TEXT_MESSAGE_CONTENT")
    .map((chunk) => chunk.delta)
    .join("");

drive({
  async ask(args, tell) {
    const chat = chatOf(args);
    Object.assign(chat, { chunks: [], error: null, tell });
    await chat.client.sendMessage(args.text);
    if (args.page) {
      for (const { id, name, input } of chat.client.getMessages().at(-1).parts) {
        if (name !== weather.name) continue;
        const output = weather.answer(input);
        await chat.client.addToolResult({ toolCallId: id, tool: name, output });
      }
    }
    return shown(chat);
  },

  stop(args) {
    chatOf(args).client.stop();
  },

  /** Join a run as another tab does, and return what it brings. */
  async join({ by, run, agent = "agent" }, tell) {
    const chunks = [];
    for await (const chunk of CONNECTIONS[by](agent).joinRun(run)) {
      chunks.push(chunk);
      if (chunk.type === "TEXT_MESSAGE_CONTENT") tell("text");
    }
    return { deltas: textOf(chunks), types: chunks.map((chunk) => chunk.type) };
  },
});
