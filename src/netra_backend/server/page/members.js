// The dialog of members: who may see a conversation and what they may do in it. Its owner invites,
// changes and removes them; a member sees the list, and may leave.

import { made, part, setText } from "./dom.js";
import { INVITED } from "./roles.js";

export class MembersDialog {
  #dialog;
  #api;
  #options;
  #thread = null; // {id, role} of the thread that is shown: another object each time it is opened.

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
    this.#thread = { ...thread };
    const owns = thread.role === "owner";
    part(this.#dialog, "invite").hidden = !owns;
    part(this.#dialog, "user").value = "";
    part(this.#dialog, "members").replaceChildren();
    this.#tell("");
    this.#dialog.showModal();
    part(this.#dialog, owns ? "user" : "cancel").focus();
    await this.#act(this.#thread, async () => {}, "");
  }

  /** Close the dialog unless it shows the thread called `id`. */
  keep(id) {
    if (this.#dialog.open && this.#thread.id !== id) this.#dialog.close();
  }

  async #invite() {
    const thread = this.#thread;
    const field = part(this.#dialog, "user");
    const user = field.value.trim();
    const role = part(this.#dialog, "role").value;
    if (user === "") return;
    const invited = await this.#act(thread, () => this.#api.setMember(thread.id, user, role), told(user, role), user);
    if (!this.#shows(thread)) return;
    if (invited) field.value = "";
    field.focus();
  }

  async #change(user, role) {
    const thread = this.#thread;
    await this.#act(thread, () => this.#api.setMember(thread.id, user, role), told(user, role), user);
    if (this.#shows(thread)) this.#row(user)?.querySelector("select").focus();
  }

  async #remove(user) {
    const thread = this.#thread;
    const leaves = user === this.#options.userName();
    const removed = await this.#act(
      thread,
      () => this.#api.removeMember(thread.id, user),
      `${user} does not see this conversation any more.`,
      user,
      leaves,
    );
    if (removed && leaves) return this.#left(thread);
    if (!this.#shows(thread)) return;
    if (!removed) this.#row(user)?.querySelector("button").focus();
    else part(this.#dialog, "user").focus(); // The button is gone with its row.
  }

  #left(thread) {
    if (this.#shows(thread)) this.#dialog.close();
    this.#options.onLeft(thread);
  }

  /** Whether the dialog is still open for `thread`, as it was when an action began. */
  #shows(thread) {
    return this.#dialog.open && this.#thread === thread;
  }

  /**
   * Carry out `call`, tell `success` or why not, and show who is a member now, unless this is the
   * `last`. Return whether all succeeded. Nothing is shown once the dialog does not show `thread`.
   */
  async #act(thread, call, success, user = "", last = false) {
    this.#setBusy(true);
    let problem = await problemWith(call, user);
    if (problem || !last) {
      const unlisted = await problemWith(() => this.#list(thread), user);
      problem ||= unlisted;
    }
    if (this.#shows(thread)) {
      this.#setBusy(false);
      this.#tell(problem ? "" : success, problem);
    }
    return problem === "";
  }

  /** While the server is asked one thing, nothing else can be done here but close the dialog. */
  #setBusy(busy) {
    this.#dialog.toggleAttribute("data-busy", busy);
    for (const control of this.#dialog.querySelectorAll("select, button")) {
      control.disabled = busy && control !== part(this.#dialog, "cancel");
    }
  }

  #tell(success, problem = "") {
    setText(part(this.#dialog, "told"), success);
    setText(part(this.#dialog, "problem"), problem);
  }

  async #list(thread) {
    if (!this.#shows(thread)) return;
    const members = await this.#api.members(thread.id);
    if (!this.#shows(thread)) return;
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

/** Carry out `call`, which concerns `user`; return what to tell of its failure, or "". */
async function problemWith(call, user) {
  try {
    await call();
    return "";
  } catch (refusal) {
    return problemOf(refusal, user);
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
