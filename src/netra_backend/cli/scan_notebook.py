"""The notes on log calls, kept from one scan of the same paths to the next."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from netra_backend.cli.scan_cache import Cache
from netra_backend.cli.scan_record import Record
from netra_backend.scan.finding import Finding


class _Page(Struct, frozen=True, array_like=True):
    """What was noted on the file with this key; `asked` are places in the book's modules."""

    key: str
    notes: tuple[Finding, ...]
    asked: tuple[int, ...]


class _Book(Struct, frozen=True, array_like=True):
    """All pages by path, and the modules they depend on, each with its file's key then."""

    modules: tuple[tuple[str, str], ...] = ()
    pages: dict[str, _Page] = {}


_decoder: Any = msgspec.msgpack.Decoder(_Book)


class KeptNotebook:
    """What `cache` has under `name`, as far as it is true of these records.

    A module without a file of its own, or with that of a stub, has no key.
    """

    def __init__(self, cache: Cache, name: str, records: Sequence[Record]) -> None:
        self._cache = cache
        self._name = name
        self._keys: dict[str, str] = {}
        self._files: dict[str, str] = {}
        for record in records:
            if record.summary.skipped is not None:
                continue
            self._keys.setdefault(record.summary.module, record.key)
            self._files[record.summary.path] = record.key
        self._pages: dict[str, tuple[Sequence[Finding], Collection[str]]] = {}
        self._known = self._load()
        self._changed = False

    def recall(self, path: str) -> Sequence[Finding] | None:
        """Return the notes on a file, None if they are not known or may have changed."""
        known = self._known.get(path)
        if known is None:
            return None
        self._pages[path] = known
        return known[0]

    def keep(self, path: str, notes: Sequence[Finding], asked: Collection[str]) -> None:
        """Keep the notes on a file, true as long as it and the modules `asked` for are the same."""
        self._pages[path] = notes, asked
        self._changed = True

    def close(self) -> None:
        """Write what is new."""
        if not self._changed:
            return
        numbers: dict[str, int] = {}
        pages = {}
        for path, (notes, asked) in self._pages.items():
            places = tuple(numbers.setdefault(name, len(numbers)) for name in asked)
            pages[path] = _Page(self._files[path], tuple(notes), places)
        modules = tuple((name, self._keys.get(name, "")) for name in numbers)
        self._cache.put(self._name, msgspec.msgpack.encode(_Book(modules, pages)))

    def _load(self) -> Mapping[str, tuple[Sequence[Finding], Collection[str]]]:
        body = self._cache.get(self._name)
        try:
            book: _Book = _Book() if body is None else _decoder.decode(body)
        except msgspec.DecodeError:
            return {}
        names = [name for name, _ in book.modules]
        same = [self._keys.get(name, "") == key for name, key in book.modules]
        count = range(len(names))
        return {
            path: (page.notes, [names[at] for at in page.asked])
            for path, page in book.pages.items()
            if self._files.get(path) == page.key
            and all(at in count and same[at] for at in page.asked)
        }
