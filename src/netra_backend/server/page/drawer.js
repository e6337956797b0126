// The drawer: the list of threads on a narrow screen, over the conversation.

export class Drawer {
  #nodes;
  #narrow = matchMedia("(max-width: 720px)");

  /** `nodes` are {drawer, backdrop, main, opener}; on a wide screen the drawer is always there. */
  constructor(nodes) {
    this.#nodes = nodes;
    nodes.opener.addEventListener("click", () => this.#set(true));
    nodes.backdrop.addEventListener("click", () => this.close());
    nodes.drawer.querySelector("#close-drawer").addEventListener("click", () => this.close());
    this.#narrow.addEventListener("change", () => this.#set(false));
    this.#set(false);
  }

  get isOpen() {
    return this.#nodes.drawer.hasAttribute("data-open");
  }

  close() {
    if (!this.isOpen) return;
    this.#set(false);
    this.#nodes.opener.focus();
  }

  #set(isOpen) {
    const { drawer, backdrop, main, opener } = this.#nodes;
    drawer.toggleAttribute("data-open", isOpen);
    drawer.inert = this.#narrow.matches && !isOpen;
    main.inert = isOpen;
    backdrop.hidden = !isOpen;
    opener.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) drawer.querySelector("#new-thread").focus();
  }
}
