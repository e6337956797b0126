// Plays scenarios with AG-UI's HttpAgent against a server, and prints what the agent saw as JSON.
// Arguments: the folder that has node_modules, the package, the URL of the agent, a token, and names of
// scenarios; without any, all that need nothing but the agent.

const { createRequire } = require("node:module");
const [folder, client, url, token, ...names] = process.argv.slice(2);
const { HttpAgent, buildResumeArray } = createRequire(`${folder}/`)(client);

const headers = { Authorization: `Bearer ${token}` };

/** Joins a run that there is, instead of starting one. */
class JoiningAgent extends HttpAgent {
  requestInit() {
    return { method: "GET", headers: { ...this.headers, Accept: "text/event-stream" } };
  }
}

function agentOf(threadId) {
  return new HttpAgent({ url, headers, threadId });
}

/** Run once and return the types of the events, and what went wrong if anything did. */
async function run(agent, parameters, onEvent = () => {}) {
  const seen = { events: [], error: null };
  try {
    await agent.runAgent(parameters, {
      onEvent: ({ event }) => {
        seen.events.push(event.type);
        onEvent(event);
      },
      onRunErrorEvent: ({ event }) => {
        seen.runError = { message: event.message, code: event.code };
      },
    });
  } catch (error) {
    seen.error = String(error);
  }
  return seen;
}

function ask(agent, content) {
  agent.addMessage({ id: `question-${agent.messages.length}`, role: "user", content });
}

const scenarios = {
  async conversation() {
    const agent = agentOf("conversation");
    ask(agent, "answer first");
    const first = await run(agent, { runId: "c1" });
    ask(agent, "answer second");
    const second = await run(agent, { runId: "c2" });
    return { first, second, messages: agent.messages };
  },

  async tool() {
    const agent = agentOf("tool");
    ask(agent, "tool");
    return { run: await run(agent, { runId: "t1" }), messages: agent.messages };
  },

  async state() {
    const agent = agentOf("state");
    ask(agent, "state");
    return { run: await run(agent, { runId: "s1" }), state: agent.state };
  },

  async failure() {
    const agent = agentOf("failure");
    ask(agent, "fail");
    return { run: await run(agent, { runId: "f1" }), messages: agent.messages };
  },

  async refusal() {
    const agent = agentOf("refusal");
    agent.url = url.replace(/[^/]+$/, "nobody");
    ask(agent, "answer");
    return { run: await run(agent, { runId: "n1" }) };
  },

  async interrupt() {
    const agent = agentOf("interrupt");
    ask(agent, "ask");
    const asked = await run(agent, { runId: "i1" });
    const pending = agent.pendingInterrupts;
    const answers = { [pending[0].id]: { status: "resolved", payload: { approved: true } } };
    const resume = buildResumeArray(pending, answers);
    const resumed = await run(agent, { runId: "i2", resume });
    return { asked, pending, resumed, left: agent.pendingInterrupts, messages: agent.messages };
  },

  async abort() {
    const agent = agentOf("abort");
    ask(agent, "slow");
    const cut = await run(agent, { runId: "a1" }, (event) => {
      if (event.type === "TEXT_MESSAGE_CONTENT") agent.abortRun();
    });
    const again = agentOf("abort");
    ask(again, "slow");
    const attached = await run(again, { runId: "a1" });
    return { cut, attached, messages: again.messages };
  },

  async join() {
    const agent = agentOf("join");
    ask(agent, "slow");
    const joiner = new JoiningAgent({ url: `${url}?runId=j1`, headers, threadId: "join" });
    let joined;
    const first = await run(agent, { runId: "j1" }, (event) => {
      if (event.type === "TEXT_MESSAGE_CONTENT" && !joined) joined = run(joiner, { runId: "j1" });
    });
    return { first, joined: await joined, messages: joiner.messages, started: agent.messages };
  },
};

/** What needs a server that streams a prelude, whatever it is asked. */
const others = {
  async prelude() {
    const agent = agentOf("joined");
    return {
      run: await run(agent, { runId: "p1" }),
      messages: agent.messages,
      pending: agent.pendingInterrupts,
    };
  },
};

async function main() {
  const told = {};
  const all = { ...scenarios, ...others };
  for (const name of names.length ? names : Object.keys(scenarios)) told[name] = await all[name]();
  process.stdout.write(JSON.stringify(told));
}

main();
