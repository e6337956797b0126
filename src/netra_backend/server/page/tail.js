// The command that follows the open thread in a terminal.

/**
 * Return how `user` follows the thread called `id` on the server at `root`, a URL, that keeps its
 * key in the folder `dataDir`.
 */
export function tailCommand(id, user, root, dataDir) {
  const url = root.href.replace(/\/$/, "");
  return `netra tail ${shellWord(id)} --user ${shellWord(user)} --url ${url} --data-dir ${shellWord(dataDir)}`;
}

/** Return `text` as one word of a shell command. */
function shellWord(text) {
  return /^[A-Za-z0-9_.:@+=/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
