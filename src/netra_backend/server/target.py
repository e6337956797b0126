"""The target: which path a request asks for, of which host (RFC 9112 section 3.2)."""

from urllib.parse import unquote

from starlette.types import Scope

from netra_backend.server.origin import host_name, split

NO_HOST = "A request's Host header is a name or an address, perhaps with a port."
OTHER_HOST = "A request's target is a path, or a URL of the host that its Host header names."

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def fault_of(target: bytes, host: bytes, method: bytes = b"GET") -> str | None:
    """Return what is wrong with a target and the one Host beside it, or None.

    A URL counts as its path. Of one with another host than Host it is not clear who is asked: a
    proxy may have looked at either.
    """
    name = host.decode("latin-1")
    if not host_name(name):
        return NO_HOST
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return None
    url = split(target.decode("latin-1"))
    if url is None or not url.scheme:
        return OTHER_HOST
    port = _DEFAULT_PORTS.get(url.scheme, "")  # a port that may be named or left out
    asked, named = (one.lower().removesuffix(port) for one in (url.netloc, name))
    return None if asked == named else OTHER_HOST


def with_path(target: bytes) -> bytes:
    """Return the target; with the path ``/`` if it is a URL that has none."""
    if target.startswith(b"/"):
        return target
    place, mark, query = target.partition(b"?")
    _, slashes, rest = place.partition(b"://")
    return place + b"/" + mark + query if slashes and b"/" not in rest else target


def path_and_query(target: str) -> tuple[str, str]:
    """Return the path that a target names, and its query, both as they were sent."""
    if not target.startswith("/"):
        url = split(target)
        return ("/", "") if url is None else (url.path or "/", url.query)
    path, _, query = target.partition("?")
    return path, query


def below_root(scope: Scope) -> Scope:
    """Return the request with a root path that has no slash at its end, as routes expect it.

    Of its path that leaves what a server puts behind the root: with ``/api/`` some make ``/api/x``
    of ``/x``, and others ``/api//x``.
    """
    root: str = scope.get("root_path", "")
    if not root.endswith("/"):
        return scope
    plain, path = root.rstrip("/"), scope["path"]
    if path.startswith(root):
        path = f"{plain}/{path.removeprefix(root).removeprefix('/')}"
    return {**scope, "root_path": plain, "path": path}


def decoded(path: str) -> str:
    """Return a path as ASGI has it."""
    return unquote(path) if "%" in path else path
