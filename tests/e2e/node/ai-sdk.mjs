// The AI SDK's chat, what useChat is built on, over its own WebSocketChatTransport.

import {
  AbstractChat,
  WebSocketChatTransport,
  isToolUIPart,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from "ai";
import WebSocket from "ws";
import { drive, headers, server, weather } from "./drive.mjs";

class AuthorizedWebSocket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers });
  }
}

/** What a framework's binding keeps in its own reactive way. */
class PlainState {
  constructor(messages) {
    this.messages = messages;
    this.status = "ready";
    this.error = undefined;
  }
  pushMessage = (message) => {
    this.messages = [...this.messages, message];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, structuredClone(message));
  };
  snapshot = (thing) => structuredClone(thing);
}

class Chat extends AbstractChat {
  constructor({ messages = [], ...init }) {
    super({ ...init, state: new PlainState(messages) });
  }
}

const chats = new Map();

function chatOf({ thread, tab = "first", agent = "agent", automatic = false }) {
  const name = `${thread} ${tab}`;
  if (!chats.has(name)) {
    const seen = { tell: () => {}, data: [] };
    const transport = new WebSocketChatTransport({
      url: `${server.socketUrl}/ai-sdk/${agent}`,
      webSocket: AuthorizedWebSocket,
    });
    const sendMessages = transport.sendMessages.bind(transport);
    transport.sendMessages = async (options) => watched(await sendMessages(options), seen);
    seen.chat = new Chat({
      id: thread,
      transport,
      onData: (part) => seen.data.push(part),
      ...(automatic && {
        sendAutomaticallyWhen: (options) =>
          lastAssistantMessageIsCompleteWithApprovalResponses(options) ||
          lastAssistantMessageIsCompleteWithToolCalls(options),
      }),
    });
    chats.set(name, seen);
  }
  return chats.get(name);
}

/** Pass a stream on, and tell when text comes. */
function watched(stream, seen) {
  const look = new TransformStream({
    transform(chunk, controller) {
      if (chunk.type === "text-delta") seen.tell("text");
      controller.enqueue(chunk);
    },
  });
  return stream.pipeThrough(look);
}

function shown({ chat, data }) {
  const parts = chat.lastMessage?.role === "assistant" ? chat.lastMessage.parts : [];
  const of = (type) => parts.filter((part) => part.type === type);
  return {
    run: chat.lastMessage?.role === "assistant" ? chat.lastMessage.id : null,
    error: chat.error ? String(chat.error) : null,
    status: chat.status,
    text: of("text").map((part) => part.text).join(""),
    reasoning: of("reasoning").map((part) => part.text).join(""),
    calls: parts.filter(isToolUIPart).map((part) => ({
      name: part.type.replace(/^tool-/, ""),
      arguments: part.input,
      result: part.output,
      state: part.state,
      approval: part.approval?.id,
    })),
    data: [...data, ...parts.filter((part) => part.type.startsWith("data-"))],
    messages: chat.messages.map((message) => [message.role, message.id]),
    steps: of("step-start").length,
  };
}

async function output({ tool, call, output, ...args }) {
  const seen = chatOf(args);
  await seen.chat.addToolOutput({ tool, toolCallId: call, output });
  while (seen.chat.status !== "ready") await new Promise((resolve) => setTimeout(resolve, 5));
  return shown(seen);
}

drive({
  async ask(args, tell) {
    const seen = chatOf({ ...args, automatic: args.automatic || args.page });
    seen.tell = tell;
    await seen.chat.sendMessage({ text: args.text });
    for (const { toolCallId, input } of args.page ? seen.chat.lastMessage.parts : []) {
      if (!toolCallId) continue;
      await output({ ...args, tool: weather.name, call: toolCallId, output: weather.answer(input) });
    }
    return shown(seen);
  },

  async regenerate(args) {
    const seen = chatOf(args);
    await seen.chat.regenerate();
    return shown(seen);
  },

  async resume(args) {
    const seen = chatOf(args);
    await seen.chat.resumeStream();
    return shown(seen);
  },

  async stop(args) {
    await chatOf(args).chat.stop();
  },

  /** Answer a question about a tool call, and return what the turn has become. */
  async approve({ id, approved, ...args }) {
    const seen = chatOf(args);
    await seen.chat.addToolApprovalResponse({ id, approved });
    while (seen.chat.status !== "ready") await new Promise((resolve) => setTimeout(resolve, 5));
    return shown(seen);
  },

  output,
});
