// JSON Patch (RFC 6902), as ACTIVITY_DELTA carries it.

/** Return `document` with `operations` applied, or unchanged if one of them does not apply. */
export function patched(document, operations) {
  try {
    return operations.reduce(step, structuredClone({ root: document })).root;
  } catch (error) {
    if (error instanceof PatchError || error instanceof TypeError) return document;
    throw error;
  }
}

class PatchError extends Error {}

function step(holder, operation) {
  const path = keysOf(operation.path);
  switch (operation.op) {
    case "add":
      return put(holder, path, structuredClone(operation.value));
    case "replace":
      take(holder, path);
      return put(holder, path, structuredClone(operation.value));
    case "remove":
      take(holder, path);
      return holder;
    case "move":
      return put(holder, path, take(holder, keysOf(operation.from)));
    case "copy":
      return put(holder, path, structuredClone(find(holder, keysOf(operation.from))));
    case "test":
      if (!same(find(holder, path), operation.value)) throw new PatchError("test failed");
      return holder;
    default:
      throw new PatchError(`unknown operation ${operation.op}`);
  }
}

/** Return the keys from the holder to the place a JSON Pointer (RFC 6901) names. */
function keysOf(pointer) {
  if (pointer !== "" && !pointer.startsWith("/")) throw new PatchError("not a pointer");
  const parts = pointer.split("/").slice(1);
  return ["root", ...parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))];
}

function find(holder, keys) {
  return keys.reduce((place, key) => {
    if (!has(place, key)) throw new PatchError(`nothing at ${key}`);
    return place[key];
  }, holder);
}

function put(holder, keys, value) {
  const place = find(holder, keys.slice(0, -1));
  const key = keys.at(-1);
  if (Array.isArray(place)) place.splice(index(key, place.length), 0, value);
  else if (isObject(place)) define(place, key, value);
  else throw new PatchError("no object or array");
  return holder;
}

function take(holder, keys) {
  const value = find(holder, keys);
  const place = find(holder, keys.slice(0, -1));
  if (Array.isArray(place)) place.splice(Number(keys.at(-1)), 1);
  else delete place[keys.at(-1)];
  return value;
}

/** Set an own property even when it is called `__proto__`. */
function define(place, key, value) {
  Object.defineProperty(place, key, { value, writable: true, enumerable: true, configurable: true });
}

function index(key, length) {
  if (key === "-") return length;
  if (!/^(0|[1-9][0-9]*)$/.test(key) || Number(key) > length) throw new PatchError(`no index ${key}`);
  return Number(key);
}

function has(place, key) {
  if (Array.isArray(place)) return /^(0|[1-9][0-9]*)$/.test(key) && Number(key) < place.length;
  return isObject(place) && Object.hasOwn(place, key);
}

function isObject(value) {
  return typeof value === "object" && value !== null;
}

function same(one, other) {
  if (!isObject(one) || !isObject(other)) return one === other;
  const keys = Object.keys(one);
  return (
    Array.isArray(one) === Array.isArray(other) &&
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && same(one[key], other[key]))
  );
}
