// The dialog of members: who may see a conversation and what they may do in it. Its owner invites,
// changes and removes them; a member sees the list, and may leave.

import { made, part, setText } from "./dom.js";
import { INVITED } from "./roles.js";

export class MembersDialog {
  #dialog;
  #api;
  #options;
  #thread = null; // {id, role} of the thread that is shown.
  #busy = false;

  /** `userName()` is whose page it is; `onLeft(thread)` is called when they have left a thread. */
  constructor(dialog, api, options) {
    this.#dialog = dialog;
    this.#api = api;
    this.#options = options;
    part(dialog, "role").append(...optionsOf());
    part(dialog, "cancel").onclick = () => dialog.close();
    dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      this.#invite();
    };
  }

  /** Show the members of `thread`: {id, role}. */
  async open(thread) {
    if (this.#dialog.open) return;
    this.#thread = thread;
    const owns = thread.role === "owner";
    part(this.#dialog, "invite").hidden = !owns;
    part(this.#dialog, "user").value = "";
    part(this.#dialog, "members").replaceChildren();
    this.#tell("");
    this.#dialog.showModal();
    part(this.#dialog, owns ? "user" : "cancel").focus();
    await this.#act(async () => {}, "");
  }

  async #invite() {
    const field = part(this.#dialog, "user");
    const user = field.value.trim();
    const role = part(this.#dialog, "role").value;
    if (user === "") return;
    const invited = await this.#act(() => this.#api.setMember(this.#thread.id, user, role), told(user, role), user);
    if (invited) field.value = "";
    field.focus();
  }

  async #change(user, role) {
    await this.#act(() => this.#api.setMember(this.#thread.id, user, role), told(user, role), user);
    this.#row(user)?.querySelector("select")?.focus();
  }

  async #remove(user) {
    const leaves = user === this.#options.userName();
    const removed = await this.#act(
      () => this.#api.removeMember(this.#thread.id, user),
      `${user} does not see this conversation any more.`,
      user,
      leaves,
    );
    if (!removed) return this.#row(user)?.querySelector("button")?.focus();
    if (!leaves) return part(this.#dialog, "user").focus(); // The button is gone with its row.
    this.#dialog.close();
    this.#options.onLeft(this.#thread);
  }

  /** Carry out `call`, tell `success` or why not, and show who is a member now, unless this is the `last`. */
  async #act(call, success, user = "", last = false) {
    if (this.#busy) return false;
    this.#busy = true;
    this.#dialog.toggleAttribute("data-busy", true);
    const { id } = this.#thread;
    let problem = "";
    try {
      await call();
    } catch (refusal) {
      problem = problemOf(refusal, user);
    }
    try {
      if (!last || problem) this.#show(await this.#api.members(id));
    } catch (refusal) {
      problem ||= problemOf(refusal, user);
    }
    this.#busy = false;
    this.#dialog.toggleAttribute("data-busy", false);
    this.#tell(problem ? "" : success, problem);
    return problem === "";
  }

  #tell(success, problem = "") {
    setText(part(this.#dialog, "told"), success);
    setText(part(this.#dialog, "problem"), problem);
  }

  #show(members) {
    part(this.#dialog, "members").replaceChildren(...members.map((member) => this.#newRow(member)));
  }

  #row(user) {
    return [...part(this.#dialog, "members").children].find((row) => row.dataset.user === user);
  }

  #newRow({ user, role }) {
    const row = made("member-row");
    const own = user === this.#options.userName();
    const changes = this.#thread.role === "owner" && role !== "owner";
    row.dataset.user = user;
    row.dataset.role = role;
    setText(part(row, "name"), own ? `${user} (you)` : user);
    setText(part(row, "is"), role);
    part(row, "is").hidden = changes;
    const select = part(row, "role");
    select.hidden = !changes;
    select.setAttribute("aria-label", `What ${user} may do`);
    if (changes) {
      select.append(...optionsOf());
      select.value = role;
      select.addEventListener("change", () => this.#change(user, select.value));
    }
    const remove = part(row, "remove");
    remove.hidden = !changes && !(own && role !== "owner");
    setText(remove, own ? "Leave" : "Remove");
    remove.setAttribute("aria-label", own ? "Leave this conversation" : `Remove ${user}`);
    remove.addEventListener("click", () => this.#remove(user));
    return row;
  }
}

/** Return what to tell of a refusal that concerns `user`. */
export function problemOf(refusal, user) {
  const name = `“${user}”`;
  switch (refusal.code) {
    case "bad_input":
      return `${name} cannot be invited: ${refusal.detail || "this is no user's name"}.`;
    case "not_found":
      return user ? `${name} is no member any more, or the conversation is gone.` : "This conversation is gone.";
    case "forbidden":
      return "Only the owner of a conversation can say who is a member.";
    case "too_many":
      return `${name} cannot be invited: ${refusal.detail || "there are too many members"}.`;
    default:
      return refusal.text;
  }
}

function told(user, role) {
  return `${user} may ${role} now, and finds the conversation in their list.`;
}

function optionsOf() {
  return INVITED.map((role) => new Option(role, role));
}
