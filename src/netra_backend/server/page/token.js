// The token a person has signed in with, kept for this tab only; none under development sign-in.

const KEY = "netra.token";

export class Token {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  get value() {
    return this.#storage.getItem(KEY) ?? "";
  }

  set value(text) {
    if (text) this.#storage.setItem(KEY, text);
    else this.#storage.removeItem(KEY);
  }

  /** The headers that carry it over HTTP. */
  get headers() {
    return this.value ? { Authorization: `Bearer ${this.value}` } : {};
  }

  /** The subprotocols that carry it over a WebSocket, where a page cannot set headers. */
  get subprotocols() {
    return this.value ? ["netra.v1", `netra.token.${base64url(this.value)}`] : ["netra.v1"];
  }
}

/** Whether `text` can be a token at all: one word of printable ASCII, as headers carry it. */
export function isToken(text) {
  return /^[\x21-\x7e]+$/.test(text);
}

/** Return the base64url of the UTF-8 bytes of `text`, without padding (RFC 4648 section 5). */
export function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
