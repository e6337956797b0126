// What a tab keeps over a reload: drafts, what is not sent yet, a token.

/** A Storage that never fails: what the browser will not keep is remembered until the page is left. */
export class Kept {
  #storage = null;
  #unkept = new Map();

  /** `storage()` returns a Storage; a browser that is told to keep no data throws at its very name. */
  constructor(storage) {
    try {
      this.#storage = storage();
    } catch {
      // Nothing is kept here.
    }
  }

  getItem(key) {
    return this.#unkept.get(key) ?? this.#storage?.getItem(key) ?? null;
  }

  setItem(key, text) {
    try {
      this.#storage.setItem(key, text);
      this.#unkept.delete(key);
    } catch {
      this.#unkept.set(key, text); // It is full, or there is none.
    }
  }

  removeItem(key) {
    this.#unkept.delete(key);
    this.#storage?.removeItem(key);
  }

  clear() {
    this.#unkept.clear();
    this.#storage?.clear();
  }
}
