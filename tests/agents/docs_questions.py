"""Questions to the docs agent, and the sections that answer them: any of those named is right.

None named means that the documentation has no answer, and the agent has to say so.
"""

FIRST: dict[str, tuple[str, ...]] = {
    "What is Netra?": ("docs/readme",),
    "what error codes are there?": ("docs/protocol#error-codes",),
    "what close codes are there?": ("docs/protocol#close-codes",),
    "which settings are there?": ("docs/operations#settings",),
    "what limits are there?": ("docs/protocol#limits",),
    "what commands are there?": ("docs/protocol#commands",),
    "can I use redis?": ("docs/operations#what-the-log-survives",),
    "What survives a kill -9?": ("docs/operations#what-the-log-survives",),
    "How do I serve my own agent?": ("docs/agents#serve-your-own-agent",),
    "how do I mount it in fastapi?": ("docs/agents#mount-it-in-fastapi-or-starlette",),
    "how do I ask the user for approval?": ("docs/agents#ask-the-user",),
    "How do I cancel a run?": ("docs/protocol#cancel",),
    "how do I test an agent?": ("docs/agents#test-an-agent",),
    "how do I sign in with jwt?": ("docs/operations#authentication",),
    "how do I deploy behind nginx?": ("docs/deployment#nginx",),
    "how do I run several workers?": ("docs/operations#several-workers",),
    "how do I make a backup?": ("docs/operations#backup-and-restore",),
    "which metrics are there?": ("docs/operations#health-and-metrics",),
    "what is a thread?": ("docs/protocol#words",),
    "what is queued_runs?": ("docs/operations#settings",),
    "what does 4408 mean?": ("docs/protocol#close-codes",),
    "What does JS001 mean?": ("docs/rules/JS001",),
    "how do I scan my code?": ("docs/scan",),
    "how do I ignore a finding?": ("docs/scan#silence-one-finding",),
    "how do I use langgraph?": ("docs/frameworks/langgraph",),
    "how does CopilotKit connect?": ("docs/clients/copilotkit",),
    "how do I invite a member?": ("docs/tutorial#share-it",),
    "how do I follow a thread in the terminal?": ("docs/tutorial#watch-it-from-the-terminal",),
    "is it secure?": ("docs/security",),
}
"""Those that the index was first made for."""

ASKED: dict[str, tuple[str, ...]] = {
    "how do I log JSON?": ("docs/json-safety#how-to-log-json", "docs/json-safety"),
    "which Python version?": ("docs/readme#python-version-and-platforms",),
    "how do I add my own store?": ("docs/reference#stores-of-your-own",),
    "how do I write a store?": ("docs/reference#stores-of-your-own",),
    "how do I change the port?": ("docs/operations#options-of-netra-serve",),
    "how do I set the port?": ("docs/operations#options-of-netra-serve",),
    "what is the license?": ("docs/readme#license",),
    "what does it cost a connection in memory?": (
        "docs/operations#connections-and-what-they-cost",
    ),
    "how to suppress JS001": ("docs/scan#silence-one-finding",),
    "how do I cancel a run over HTTP?": ("docs/protocol#http", "docs/protocol#cancel"),
    "How do I stop a running agent from code?": (
        "docs/protocol#cancel",
        "docs/agents#cancellation",
        "docs/protocol#http",
    ),
    "what is the maximum message size?": ("docs/protocol#limits",),
    "how long does a run take at most?": (
        "docs/operations#how-long-a-run-may-take",
        "docs/agents#cancellation",
        "docs/operations#what-happens-to-runs",
    ),
    "how do I write unit tests for my agent?": ("docs/agents#test-an-agent",),
    "can I use Postgres instead of SQLite?": (
        "docs/operations#what-the-log-survives",
        "docs/reference#stores-of-your-own",
    ),
    "can I share a chat with a colleague": ("docs/tutorial#share-it", "docs/protocol#sharing"),
    "can two users see each other's chats?": (
        "docs/security#who-sees-a-conversation",
        "docs/protocol#sharing",
        "docs/security#what-is-promised",
        "docs/tutorial#share-it",
    ),
    "does it work on Windows?": (
        "docs/operations#platforms",
        "docs/readme#python-version-and-platforms",
    ),
    "which browsers are supported?": ("docs/operations#platforms",),
    "how do I upgrade?": ("docs/operations#upgrade",),
    "how do I send an image?": ("docs/frameworks/openai",),
    "who won the world cup 2018?": (),
    "how do I backup the database?": ("docs/operations#backup-and-restore",),
    "Which port does the server listen on by default?": ("docs/operations#options-of-netra-serve",),
    "how big may one event be?": ("docs/agents#what-the-server-does-with-the-events",),
    "how do I resume after a reload?": (
        "docs/tutorial#what-happens-when-the-page-is-reloaded-or-closed",
    ),
    "what happens if I close the tab?": (
        "docs/tutorial#what-happens-when-the-page-is-reloaded-or-closed",
    ),
    "What happens when two people decide at once?": ("docs/protocol#decide",),
    "how fast is it?": ("docs/operations#how-fast-it-is",),
    "what is the founding bug?": ("docs/json-safety#how-the-outage-happened",),
}
"""What people asked who saw the agent for the first time, where it answered badly."""

OTHERS: dict[str, tuple[str, ...]] = {
    "how do I rotate the JWT keys?": ("docs/operations#authentication",),
    "how can I log a user out everywhere?": ("docs/operations#revocation",),
    "what happens when the disk is full?": ("docs/operations#what-the-log-survives",),
    "how do I use Caddy?": ("docs/deployment#caddy",),
    "where is the data stored?": (
        "docs/operations#settings",
        "docs/operations#what-the-log-survives",
    ),
    "how many connections can one user have?": (
        "docs/operations#settings",
        "docs/operations#what-a-client-meets-at-a-limit",
    ),
    "does the page work behind a path prefix?": ("docs/deployment#behind-a-proxy",),
    "how do I stream tokens?": (
        "docs/agents#write-your-own-agent",
        "docs/tutorial#write-an-agent",
        "docs/agents#what-the-server-does-with-the-events",
    ),
    "how do I show progress of a run?": ("docs/agents#ask-a-run",),
    "what happens when my agent raises an exception?": ("docs/agents#errors",),
    "how do I mask passwords in logs?": ("docs/json-safety#what-the-log-promises",),
    "can I use Ollama?": ("docs/frameworks/openai",),
    "how do I scan only changed files?": (
        "docs/scan#in-an-editor-in-a-loop",
        "docs/scan#before-a-commit",
    ),
    "how do I add the scanner to GitHub Actions?": ("docs/scan#on-github",),
    "how do I log the request id?": ("docs/json-safety#how-to-log-json",),
    "how does a client reconnect?": (
        "docs/protocol#event-frames",
        "docs/protocol#follow",
        "docs/protocol#followed",
    ),
    "what does close code 1012 mean?": ("docs/protocol#close-codes",),
    "how do I delete a conversation?": (
        "docs/protocol#sharing",
        "docs/protocol#http",
        "docs/tutorial#share-it",
    ),
    "how is a datetime logged?": ("docs/json-safety#what-becomes-what",),
    "does it support React?": (
        "docs/clients/copilotkit",
        "docs/clients/tanstack-ai",
        "docs/clients/ai-sdk",
    ),
    "can I have two agents in one server?": ("docs/agents#serve-your-own-agent",),
    "how do I resume after an interrupt?": ("docs/agents#ask-the-user", "docs/protocol#decide"),
    "why is my server not ready?": ("docs/operations#health-and-metrics",),
    "how do I get a Prometheus endpoint?": ("docs/operations#health-and-metrics",),
    "what is the capital of France?": (),
    "how do I cook pasta?": (),
    "is there a Helm chart for Kubernetes?": (),
    "how do I set up CORS?": ("docs/operations#revocation", "docs/operations#authentication"),
    "which tests fail with strict logs?": ("docs/strict-logs", "docs/strict-logs#which-mode"),
    "how do I report a security issue?": ("docs/security#telling-us",),
}
"""Written before the ranking was changed; its weights were chosen with them, no page was."""

LATER: dict[str, tuple[str, ...]] = {
    "how do I run it with Docker?": ("docs/deployment#docker-and-other-containers",),
    "how do I deploy it?": ("docs/deployment",),
    "how do I deploy it with systemd?": ("docs/deployment#systemd",),
    "how do I run it on Kubernetes?": ("docs/deployment#kubernetes",),
    "can I put the data directory on NFS?": ("docs/deployment#what-may-not-be-shared",),
    "what is the bus for?": ("docs/reference#stores-of-your-own",),
    "how do I use a self-signed certificate?": (),
    "how do I limit runs per user?": (
        "docs/operations#settings",
        "docs/operations#what-a-client-meets-at-a-limit",
        "docs/protocol#limits",
    ),
    "what happens to queued runs after a restart?": (
        "docs/operations#settings",
        "docs/protocol#accepted",
        "docs/operations#what-happens-to-runs",
    ),
    "how do I log from a thread?": ("docs/json-safety#how-to-log-json",),
    "how is NaN written?": ("docs/json-safety#what-becomes-what",),
    "can I log in Datadog format?": ("docs/json-safety#settings",),
    "how do I get a ticket for a WebSocket?": (
        "docs/operations#authentication",
        "docs/protocol#connecting",
    ),
    "what does snapshot mean?": ("docs/protocol#followed",),
    "how do I run the scanner as a pre-commit hook?": ("docs/scan#before-a-commit",),
    "what is a baseline?": ("docs/scan#adopt-it-on-old-code",),
    "can the scanner fix my code?": ("docs/scan#adopt-it-on-old-code", "docs/scan"),
    "how do I use the Vercel SDK?": ("docs/clients/ai-sdk",),
    "how do I replay a conversation?": ("docs/tutorial#watch-it-from-the-terminal",),
    "how do I make someone an administrator?": (
        "docs/operations#settings",
        "docs/operations#revocation",
    ),
    "which headers does the server send?": ("docs/security#headers",),
    "how do I keep state between runs?": ("docs/agents#ask-a-run",),
    "how do I run a blocking function in an agent?": (
        "docs/agents#cancellation",
        "docs/operations#logs",
    ),
    "what is the best pizza in Naples?": (),
}
"""Written when the ranking had its form, which they changed a little."""

UNSEEN: dict[str, tuple[str, ...]] = {
    "how do I use pydantic-ai?": ("docs/frameworks/pydantic-ai",),
    "what is JS014?": ("docs/rules/JS014",),
    "how do I rebuild the index?": ("docs/agents#the-docs-agent",),
    "how do I sample log lines?": ("docs/json-safety#settings",),
    "how do I close a connection of a user?": (
        "docs/operations#who-is-connected",
        "docs/operations#revocation",
    ),
    "what does thread_busy mean?": ("docs/protocol#error-codes", "docs/operations#settings"),
    "how do I test my FastAPI app?": ("docs/agents#test-an-application",),
    "how do I get called when a tool completes?": ("docs/agents#hear-what-agents-do",),
    "which CVEs matter?": ("docs/security#dependencies",),
    "how do I exclude files from the scan?": ("docs/scan#configure-it",),
    "what does epoch mean?": ("docs/protocol#words",),
    "how do I turn off colours in logs?": ("docs/json-safety#settings",),
    "is the connection encrypted?": ("docs/security#what-is-not-promised",),
    "does it work with granian?": ("docs/readme",),
    "what if a worker dies?": ("docs/operations#several-workers",),
    "which event types does the page show?": (
        "docs/tutorial#let-it-think-and-call-a-tool",
        "docs/agents#what-the-server-does-with-the-events",
    ),
    "how do I join a run that somebody else started?": (
        "docs/clients/ag-ui#join-a-run",
        "docs/protocol#server-sent-events",
    ),
    "how do I bake bread?": (),
    "what was the founding outage?": ("docs/json-safety#how-the-outage-happened",),
    "how do I trade bitcoin?": (),
}
"""Written when the ranking was done, which they have not changed: what it is worth."""

WRONG = frozenset(
    {
        "how do I rotate the JWT keys?",
        "how can I log a user out everywhere?",
        "how many connections can one user have?",
        "how do I stream tokens?",
        "how do I log the request id?",
        "how does a client reconnect?",
        "can I have two agents in one server?",
        "how do I resume after an interrupt?",
        "why is my server not ready?",
        "how do I use a self-signed certificate?",
        "how do I log from a thread?",
        "how is NaN written?",
        "how do I replay a conversation?",
        "how do I test my FastAPI app?",
        "how do I turn off colours in logs?",
        "which event types does the page show?",
    }
)
"""Of `OTHERS`, `LATER` and `UNSEEN` what another section answers; take out what no longer is."""
