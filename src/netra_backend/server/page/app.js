// The page: makes the parts and connects them. What each part does stands in its own module.

import { hashOf, threadOf } from "./address.js";
import { Api } from "./api.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { ConversationView } from "./conversation.js";
import { askDelete, askTitle, askToken } from "./dialogs.js";
import { copy, isComposing, part, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { ENDS, Refusal, closeRow } from "./errors.js";
import { newId } from "./ids.js";
import { MembersDialog } from "./members.js";
import { Outbox } from "./outbox.js";
import { formatPosition } from "./positions.js";
import { Roles, allowed, barredFrom, ownerOf } from "./roles.js";
import { Status } from "./status.js";
import { Kept } from "./storage.js";
import { tailCommand } from "./tail.js";
import { OpenThread } from "./thread.js";
import { ThreadList } from "./threads.js";
import { titleOf } from "./titles.js";
import { Token, isToken } from "./token.js";
import { Working } from "./working.js";

const ROOT = new URL("../../", import.meta.url); // Above page/VERSION/; the server may be mounted below a path.
const FINE_POINTER = matchMedia("(pointer: fine)");
const NOT_ACCEPTED = "The server does not accept this token.";
const BUSY = "The agent is still busy in this conversation. Send this when it is done, or stop it.";
const CLOSED = "Nothing can be asked here. Begin a new conversation, or open another one.";
const UNFOLLOWABLE = {
  unknown: "There is no such conversation, or it is not yours to see.",
  denied: "You may no longer see this conversation.",
  deleted: "This conversation was deleted.",
};

const $ = (id) => document.getElementById(id);
const kept = new Kept(() => sessionStorage);
const token = new Token(kept);
const outbox = new Outbox(kept);
const api = new Api(ROOT, token);
let user = null; // Whose page it is, once the server has said so.
let tokenWorked = false; // Whether the server has let the present token in.
let open = null; // The OpenThread that is shown, or null for a new conversation.
let trouble = ""; // What the notice says about the open thread.

// --- parts ---

const drawer = new Drawer({ drawer: $("drawer"), backdrop: $("backdrop"), main: $("main"), opener: $("open-drawer") });
const status = new Status({ text: $("connection-text"), retry: $("reconnect"), signIn: $("sign-in") }, announce);

const connection = new Connection({
  url: socketUrl(),
  subprotocols: () => token.subprotocols,
  standing: () => api.standing(),
  online: () => navigator.onLine,
  onState: (state, details) => {
    if (state !== "live") open?.lost();
    keepingFocus($("reconnect"), () => status.show(state, details));
    view.changed();
    if (state === "signed-out") signedOut(closeRow(details.code).text);
  },
  onReady: (ready) => {
    if (user !== null && user !== ready.user) return startOver();
    user = ready.user;
    tokenWorked = true;
    composer.offer(ready.agents ?? []);
    setText($("user"), ready.user);
    open?.ready();
    list.refresh();
    view.changed();
  },
  onEvent: (frame) => {
    if (frame.thread === open?.id) open.take(frame);
  },
  onUnfollowed: (thread, why) => {
    if (thread === open?.id) open.gone(why);
    forget(thread);
  },
  onRefusal: problem,
});

const list = new ThreadList(
  { list: $("threads"), more: $("more-threads"), empty: $("no-threads") },
  api,
  {
    onRename: renameThread,
    onDelete: deleteThread,
    onListed: (threads) => {
      roles.take(threads);
      if (open?.loaded && !open.ended && !threads.some(({ id }) => id === open.id)) roles.learn(open.id);
      view.changed();
    },
    onProblem: (refusal) => {
      // While the connection is down it says so itself, and it may not know it yet.
      if (refusal.code === "unreachable") connection.doubt();
      else if (connection.state === "live" || refusal.code === "unauthenticated") problem(refusal);
    },
    mayAsk: () => connection.state === "live" && !document.hidden,
  },
);

const roles = new Roles(api, () => view.changed());
const members = new MembersDialog($("members-dialog"), api, {
  userName: () => user,
  onLeft: ({ id }) => {
    if (open?.id === id) newConversation();
    forget(id);
  },
});

const view = new ConversationView(
  { log: $("log"), list: $("items"), toBottom: $("to-bottom") },
  {
    onResend: (message) => open?.resend(message),
    onAskAgain: askAgain,
    onTakeBack: (message) => composer.put(open?.takeBack(message) ?? ""),
    onCallOff: async (message) => {
      if (await open?.callOff(message)) composer.focus(); // The button is gone.
    },
    onDecide: async (interrupt, payload, outcome) => {
      const decided = await open?.decide(interrupt, payload, outcome);
      if (decided === true) composer.focus();
      if (decided === true) list.refresh();
      return decided;
    },
    userName: () => user,
    otherName: (by) => {
      const name = by ?? ownerOf(open.id) ?? user;
      return name === user ? null : name;
    },
  },
  drawn,
);

const working = new Working({ line: $("working"), text: $("working-text"), progress: $("progress") });

const composer = new Composer(
  {
    form: $("composer"),
    field: $("question"),
    send: $("send"),
    stop: $("stop"),
    sends: $("sends"),
    agent: $("agent"),
    agentRow: $("agent-row"),
    barred: $("barred"),
  },
  kept,
  {
    onSend: send,
    onBusy: () => showNotice(BUSY),
    onStop: () => open?.stop(),
  },
);

// --- what a person does ---

function send(text, agent) {
  hideProblem();
  if (open === null) {
    const id = newId();
    history.pushState(null, "", hashOf(id));
    show(openThread(id, true));
  }
  open.send(text, agent);
  view.scrollToEnd();
}

function askAgain() {
  hideProblem();
  open.sendAgain(composer.agent);
  view.scrollToEnd();
  if (FINE_POINTER.matches) composer.focus(); // The button is gone.
}

async function deliver(command) {
  if (await attempt(() => outbox.deliver(command, connection))) list.refresh();
}

async function renameThread(thread) {
  const title = await askTitle($("rename-dialog"), thread.title);
  if (title === null || title === thread.title) return;
  await attempt(() => api.rename(thread.id, title));
  await list.refresh();
}

async function deleteThread(thread) {
  if (!(await askDelete($("delete-dialog"), thread.title))) return;
  if (!(await attempt(() => api.remove(thread.id)))) return;
  forget(thread.id);
  if (open?.id === thread.id) newConversation();
  else if (document.activeElement === document.body) $("new-thread").focus(); // The row had it.
  announce("Conversation deleted.");
}

/** The thread is gone, at least for this user: what waits to be said in it is not said again. */
function forget(id) {
  outbox.forget(id);
  list.remove(id);
  list.refresh(); // An answer that is under way may still have it.
}

async function signIn(reason) {
  const given = await askToken($("token-dialog"), reason);
  if (given === null) return;
  if (!isToken(given)) return signIn(NOT_ACCEPTED);
  token.value = given;
  tokenWorked = false;
  connection.start();
}

/** Ask for a token after the server let nobody in; `text` says why unless the token was new. */
function signedOut(text) {
  signIn(token.value && !tokenWorked ? NOT_ACCEPTED : text);
}

/** Somebody else has signed in: nothing of the one before may be seen or sent. */
function startOver() {
  const { value } = token;
  kept.clear(); // Drafts, and what was not sent yet.
  token.value = value;
  location.reload();
}

/** Carry out `call`; return whether it succeeded, after telling why not. */
async function attempt(call) {
  try {
    await call();
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    problem(error);
    return false;
  }
}

// --- which thread is open ---

function openThread(id, isNew = false) {
  const ifShown = (act) => (value) => thread === open && act(value);
  const thread = new OpenThread(id, {
    connection,
    outbox,
    isNew,
    interrupts: (id) => api.interrupts(id),
    onChange: () => view.changed(),
    onAnswered: () => list.refresh(), // Also of the role, which may be another one by now.
    onArrived: ifShown(() => view.hurry()),
    onRunEnded: ifShown(runEnded),
    onProblem: ifShown(problem),
  });
  return thread;
}

function show(thread) {
  open?.leave();
  open = thread;
  view.show(() => open?.conversation.items ?? []);
  composer.open(open?.id ?? null);
  list.select(open?.id ?? null);
  drawer.close();
  hideProblem();
  trouble = "";
  if (FINE_POINTER.matches) composer.focus(); // Elsewhere it would open the keyboard on the screen.
}

function showAddressed() {
  const id = threadOf(location.hash);
  if (id === (open?.id ?? null)) return;
  show(id === null ? null : openThread(id));
}

function newConversation() {
  if (location.hash !== hashOf(null)) history.pushState(null, "", hashOf(null));
  show(null);
}

function runEnded(runStatus) {
  view.hurry();
  list.refresh();
  if ($("notice-text").textContent === BUSY) hideProblem();
  if (runStatus === "awaiting") announce("The agent has a question for you.");
  else announce(ENDS[runStatus]?.title ?? "The answer is complete.");
}

// --- what is shown around the conversation ---

/** Show everything that depends on the open thread, in the frame in which its items are drawn. */
function drawn() {
  const runStatus = open?.status ?? "none";
  const items = open?.conversation.items ?? [];
  const title = titleOf(open, open && list.titleOf(open.id));
  document.body.dataset.runStatus = runStatus;
  document.title = open ? `${title} · Netra` : "Netra";
  setText($("title"), title);
  $("log").dataset.thread = open?.id ?? "";
  $("log").dataset.position = formatPosition(open?.position ?? null);
  $("log").setAttribute("aria-busy", String(runStatus === "running"));
  drawRights(runStatus);
  drawWelcome(items);
  working.draw(runStatus, open?.conversation ?? null, connection.state === "live");
  drawTail();
  drawTrouble();
}

/** Offer what the user may do in the open thread, and say what they may not. */
function drawRights(runStatus) {
  const role = open ? roles.of(open.id) : "owner";
  if (role === null && open.loaded && !open.ended) roles.learn(open.id);
  const barred = open?.ended ? CLOSED : open ? barredFrom(open.id, role) : "";
  document.body.dataset.may = allowed(open?.ended ? null : role).join(" ");
  const { agents = [], when_busy: whenBusy = {} } = connection.ready ?? {};
  const agent = composer.agent ?? agents[0];
  const wrote = document.activeElement === $("question");
  composer.update({ status: runStatus, whenBusy: whenBusy[agent], closed: role === null, barred });
  if (wrote && barred) $("log").focus(); // Else the page has it, and who tabs begins anew.
  // Of a thread that has no entry yet the server may not know.
  const share = $("share");
  keepingFocus(share, () => (share.hidden = !open?.position || Boolean(open.ended) || role === null));
  members.keep(open && !open.ended ? open.id : null);
}

/** Say once why the thread cannot be followed, and no longer than that is so. */
function drawTrouble() {
  const { ended = null, delayed = null } = open ?? {};
  const text = ended ? (UNFOLLOWABLE[ended.reason] ?? ended.refusal.text) : (delayed?.text ?? "");
  if (text && text !== trouble) showNotice(text);
  if (!text && trouble) hideProblem();
  trouble = text;
}

function drawWelcome(items) {
  const isNew = open === null;
  $("welcome").hidden = !isNew;
  $("loading").hidden = isNew || items.length > 0 || open.loaded || Boolean(open.ended);
  const agents = connection.ready?.agents ?? [];
  const agent = composer.agent ?? agents[0] ?? "";
  $("examples").hidden = !agent.includes("docs");
}

function drawTail() {
  // Who signs in otherwise has no key to follow with. And there is nothing to follow before the log
  // has an entry.
  const keyDir = connection.ready?.data_dir ?? null;
  $("tail").hidden = keyDir === null || !open?.position || Boolean(open.ended);
  if ($("tail").hidden) return;
  setText($("tail-command"), tailCommand(open.id, user, ROOT, keyDir));
  setText($("position"), formatPosition(open.position));
}

function announce(text) {
  $("announcer").textContent = text;
}

function problem(refusal) {
  if (refusal.code === "unauthenticated") signedOut(refusal.text);
  else showNotice(refusal.text);
  if (refusal.code === "forbidden") list.refresh(); // The role is another one by now.
}

function showNotice(text) {
  setText($("notice-text"), text);
  $("notice").hidden = false;
}

function hideProblem() {
  keepingFocus($("notice"), () => ($("notice").hidden = true));
}

/** Carry out `change`; if it hides `node`, which had the focus, the field gets it: else the page would have it. */
function keepingFocus(node, change) {
  const had = node.contains(document.activeElement);
  change();
  if (had && !node.checkVisibility() && FINE_POINTER.matches) composer.focus();
}

function socketUrl() {
  const url = new URL("ws", ROOT);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

// --- beginning ---

$("new-thread").addEventListener("click", newConversation);
$("reconnect").addEventListener("click", () => connection.start());
$("sign-in").addEventListener("click", () => signIn("Sign in to go on."));
$("share").addEventListener("click", () => members.open({ id: open.id, role: roles.of(open.id) }));
$("notice-close").addEventListener("click", hideProblem);
$("copy-tail").addEventListener("click", () => copy($("tail-command").textContent, $("copy-tail")));
$("skip").addEventListener("click", () => composer.focus());
for (const example of document.querySelectorAll(".example")) {
  example.addEventListener("click", () => send(part(example, "text").textContent, composer.agent));
}
$("agent").addEventListener("change", () => view.changed());
addEventListener("hashchange", showAddressed);
addEventListener("popstate", showAddressed);
addEventListener("online", () => connection.hurry());
addEventListener("offline", () => connection.doubt());
addEventListener("focus", () => connection.state === "live" && list.refresh());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") connection.hurry();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || isComposing(event)) return;
  if (document.querySelector("dialog[open]")) return;
  if (drawer.isOpen) drawer.close();
  else if (!$("stop").hidden) open?.stop();
});

connection.start();
showAddressed();
if (open === null) show(null);
for (const command of outbox.commands) {
  // What was asked in another thread before a reload is still wanted.
  if (command.thread !== open?.id) deliver(command);
}
