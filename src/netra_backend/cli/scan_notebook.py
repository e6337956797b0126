"""What was found in groups of calls, kept from one scan of the same paths to the next."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from netra_backend.cli.scan_cache import Cache
from netra_backend.cli.scan_record import Record
from netra_backend.scan.finding import Finding
from netra_backend.scan.project import calls_fact, file_fact, heirs_fact


class _Page(Struct, frozen=True, array_like=True):
    """What was found; `facts` are places among the book's."""

    found: tuple[Finding, ...]
    facts: tuple[int, ...]


class _Book(Struct, frozen=True, array_like=True):
    """All pages by name, and the facts they depend on, each with what was true then."""

    facts: tuple[tuple[str, str], ...] = ()
    pages: dict[str, _Page] = {}


_decoder: Any = msgspec.msgpack.Decoder(_Book)


class KeptNotebook:
    """What `cache` has under `name`, as far as it is true of these records.

    Nothing is true of a module without a file of its own, or with that of a stub.
    """

    def __init__(self, cache: Cache, name: str, records: Sequence[Record]) -> None:
        self._cache = cache
        self._name = name
        self._records = records
        self._truth = _facts(records)
        self._pages: dict[str, tuple[Sequence[Finding], Collection[str]]] = {}
        self._known = self._load()
        self._changed = False

    def recall(self, page: str) -> Sequence[Finding] | None:
        """Return what the page says, None if there is none or it may not be true any more."""
        known = self._known.get(page)
        if known is None:
            return None
        self._pages[page] = known
        return known[0]

    def keep(self, page: str, found: Sequence[Finding], facts: Collection[str]) -> None:
        """Keep a page with the facts that it depends on."""
        self._pages[page] = found, facts
        self._changed = True

    def close(self) -> None:
        """Write what is new."""
        if not self._changed:
            return
        numbers: dict[str, int] = {}
        pages = {}
        for page, (found, facts) in self._pages.items():
            places = tuple(numbers.setdefault(fact, len(numbers)) for fact in facts)
            pages[page] = _Page(tuple(found), places)
        self._truth |= _calls(self._records, numbers)
        then = tuple((fact, self._truth.get(fact, "")) for fact in numbers)
        self._cache.put(self._name, msgspec.msgpack.encode(_Book(then, pages)))

    def _load(self) -> Mapping[str, tuple[Sequence[Finding], Collection[str]]]:
        body = self._cache.get(self._name)
        try:
            book: _Book = _Book() if body is None else _decoder.decode(body)
        except msgspec.DecodeError:
            return {}
        names = [fact for fact, _ in book.facts]
        self._truth |= _calls(self._records, names)
        same = {at for at, it in enumerate(book.facts) if self._truth.get(it[0], "") == it[1]}
        return {
            name: (page.found, [names[at] for at in page.facts])
            for name, page in book.pages.items()
            if same.issuperset(page.facts)
        }


def _calls(records: Sequence[Record], facts: Collection[str]) -> dict[str, str]:
    """Return what is true of the calls that some of the facts are of."""
    start = calls_fact("")
    asked = {fact.removeprefix(start) for fact in facts if fact.startswith(start)}
    found: dict[str, list[str]] = {}
    for record in records if asked else ():
        for name in asked & record.summary.calls.keys():
            found.setdefault(name, []).append(record.key)
    return {calls_fact(name): " ".join(keys) for name, keys in found.items()}


def _facts(records: Sequence[Record]) -> dict[str, str]:
    """Return what is true of the files: their keys in the cache."""
    truth: dict[str, str] = {}
    heirs: dict[str, list[str]] = {}
    for record in records:
        summary = record.summary
        if summary.skipped is not None:
            continue
        truth.setdefault(summary.module, record.key)
        truth[file_fact(summary.path)] = record.key
        for base in summary.derived:
            heirs.setdefault(base, []).append(record.key)
    for record in records:
        for name in record.summary.also:
            truth.setdefault(name, record.key)
    truth.update((heirs_fact(base), " ".join(keys)) for base, keys in heirs.items())
    return truth
