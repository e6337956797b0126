"""The summary of one file: what `link` needs of it, ready to be kept in a cache."""

from msgspec import Struct


class Summary(Struct, frozen=True):
    """What one file contributes to the scan; `msgspec.msgpack` writes and reads it.

    `skipped` is None, or says in one line why the file is not part of the scan. `imports` are
    the modules it names: whoever has the environment's files can summarise these too. `body` is
    an encoded `Module`, `calls` its calls by the last name of what is called, each encoded;
    `derived` are the names of its classes by the last name of what they inherit from, and of its
    functions by that of their nearest decorator, behind an ``@``. `also` are other names under
    which it may be imported; they depend on where it lies, and are for whoever links to say.
    """

    path: str
    module: str
    skipped: str | None = None
    imports: tuple[str, ...] = ()
    body: bytes = b""
    calls: dict[str, bytes] = {}
    derived: dict[str, tuple[str, ...]] = {}
    also: tuple[str, ...] = ()
