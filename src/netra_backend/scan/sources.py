"""The files of a scan, each opened when it is needed, and the stubs that stand in for libraries."""

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Any, Protocol

from msgspec import msgpack

from netra_backend.scan.declarations import Function, Module, Site
from netra_backend.scan.heads import Scope
from netra_backend.scan.summary import Summary


class Stubs(Protocol):
    """Summaries of libraries that are not among the files."""

    def has(self, module: str) -> bool:
        """Return whether there is a stub of the module."""
        ...

    def summary(self, module: str) -> Summary:
        """Return its summary."""
        ...


@cache
def _decoder(kind: Any) -> Any:
    """Return the decoder, made when it is needed: many files are scanned without any."""
    return msgpack.Decoder(kind)


class Source:
    """One file, opened when it is needed."""

    def __init__(self, summary: Summary, reported: bool) -> None:
        self.path = summary.path
        self.module = summary.module
        self.also = summary.also
        self.reported = reported
        self._summary = summary
        self._functions: dict[str, Function] = {}

    @property
    def is_stub(self) -> bool:
        """Whether it stands in for a library: then it says nothing of what functions do."""
        return self.path.startswith("<")

    @cached_property
    def declared(self) -> Module:
        """What the file declares."""
        module: Module = _decoder(Module).decode(self._summary.body)
        return module

    @cached_property
    def scope(self) -> Scope:
        """The scope of the module's own statements."""
        return Scope(self)

    def function(self, name: str) -> Function | None:
        """Return the function with this qualified name, opened when it is needed."""
        known = self._functions.get(name)
        if known is None:
            encoded = self.declared.functions.get(name)
            if encoded is None:
                return None
            known = self._functions[name] = _decoder(Function).decode(encoded)
        return known

    def sites(self, name: str) -> list[Site]:
        """Return the calls of what is named so."""
        sites: list[Site] = _decoder(list[Site]).decode(self._summary.calls[name])
        return sites

    def calls(self) -> Iterator[str]:
        """Return the last names of what is called."""
        return iter(self._summary.calls)

    def bases(self) -> Iterator[str]:
        """Return the last names of what its classes inherit from."""
        return iter(self._summary.derived)

    def derived(self, base: str) -> tuple[str, ...]:
        """Return its classes that inherit from what is named so."""
        return self._summary.derived.get(base, ())


class Files:
    """The files, by the names of their modules; stubs stand in for libraries that are absent."""

    def __init__(self, sources: Sequence[Source], stubs: Stubs) -> None:
        self.sources = sources
        self._modules: dict[str, Source] = {}
        for source in sources:
            self._modules.setdefault(source.module, source)
        for source in sources:
            for name in source.also:
                self._modules.setdefault(name, source)
        self._stubs = stubs
        self._read: dict[str, Source] = {}
        self._calling: dict[str, list[Source]] = {}
        for source in sources:
            for called in source.calls():
                self._calling.setdefault(called, []).append(source)

    def calling(self, name: str) -> Sequence[Source]:
        """Return the files with calls of what is named so."""
        return self._calling.get(name, ())

    @cached_property
    def _deriving(self) -> dict[str, list[Source]]:
        found: dict[str, list[Source]] = {}
        for source in self.sources:
            for base in source.bases():
                found.setdefault(base, []).append(source)
        return found

    def deriving(self, base: str) -> Sequence[Source]:
        """Return the files with classes that inherit from what is named so, or functions that are
        decorated by it (`signatures.decorates`)."""
        return self._deriving.get(base, ())

    def module(self, name: str) -> Source | None:
        """Return the file of a module."""
        return self._modules.get(name) or self.stub(name)

    def own_name(self, name: str) -> str:
        """Return a dotted name as the file that it leads to has it."""
        prefix = name
        while prefix and prefix not in self._modules:
            prefix = prefix.rpartition(".")[0]
        return f"{self._modules[prefix].module}{name[len(prefix) :]}" if prefix else name

    def stub(self, name: str) -> Source | None:
        """Return the stub of a module, also where the library is there."""
        if name not in self._read and self._stubs.has(name):
            self._read[name] = Source(self._stubs.summary(name), reported=False)
        return self._read.get(name)
