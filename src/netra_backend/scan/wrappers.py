"""Functions that hand a parameter to a sink, so that they are sinks for their callers."""

from collections.abc import Iterator

from msgspec import Struct, msgpack

from netra_backend.scan.declarations import Function, ParamKind, Site
from netra_backend.scan.digest import blake2b
from netra_backend.scan.modules import with_json
from netra_backend.scan.sinks import Sink
from netra_backend.scan.sources import Source

Told = tuple[str, str, str, int]
"""A problem by its path, kind and class, and how sure it is: the rank of its severity."""


class Wrapper(Struct, frozen=True):
    """A function that hands what it is given to `inner`, in the call `site`."""

    name: str
    source: Source
    function: Function
    site: Site
    inner: "Wrapper | Sink"
    known: frozenset[Told]
    length: int

    @property
    def chain(self) -> "Iterator[Wrapper]":
        """The wrapper and those on the way to the sink."""
        yield self
        if isinstance(self.inner, Wrapper):
            yield from self.inner.chain

    @property
    def sink(self) -> Sink:
        """The sink at the end of the chain."""
        return self.inner if isinstance(self.inner, Sink) else self.inner.sink


def page_of(source: Source, name: str, wrapper: Wrapper | None) -> str:
    """Return the name of the page for the calls of what is named so in a file."""
    digest = blake2b(digest_size=16)
    for it in () if wrapper is None else wrapper.chain:
        whole = it.name, it.source.path, it.site, sorted(it.known), it.sink.label
        digest.update(msgpack.encode(whole))
    called = digest.hexdigest() if wrapper else ""
    return f"{'judged' if source.reported else 'read'} {name} {called} {source.path}"


def called_as(wrapper: Wrapper) -> str:
    """Return the last name by which callers call the function."""
    owner, _, last = wrapper.name.rpartition(".")
    name = owner.rpartition(".")[2] if last == "__init__" else last
    if wrapper.sink.position is not None or any(a.name == "json" for a in wrapper.site.args):
        return name
    passes_on = any(param.kind is ParamKind.KEYWORDS for param in wrapper.function.params)
    return with_json(name) if passes_on else name
