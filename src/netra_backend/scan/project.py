"""All files of a scan: finds what a dotted name stands for, and what a class inherits."""

from collections.abc import Iterator, Sequence

from netra_backend.scan.aliases import aliased
from netra_backend.scan.declarations import Function, Site, Trait
from netra_backend.scan.heads import ClassRef, External, Found, FunctionRef, Scope
from netra_backend.scan.kinds import (
    ATTRS_DECORATORS,
    DATACLASS_DECORATORS,
    KINDS,
    MIXINS,
    PLAIN,
    Kind,
)
from netra_backend.scan.library import RESULTS
from netra_backend.scan.sinks import SINKS
from netra_backend.scan.sources import Files, Source
from netra_backend.scan.values import UNKNOWN, Attr, Call, Global, Item, Value

_DEEPEST_BASES = 20
_KNOWN = {*KINDS, *RESULTS, *SINKS, *(name.rpartition(".")[0] for name in RESULTS)}
"""What is known by the name that everybody imports it by, wherever a library declares it."""


class Project:
    """What names stand for in the files; it remembers what it has found.

    `asked` are facts: the modules that were looked for, there or not, and whose heirs and calls
    were. That is all that its answers depend on.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.asked: set[str] = set()
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._aliases: dict[tuple[str, str], tuple[Value, Scope] | None] = {}
        self._bases: dict[tuple[str, str], tuple[ClassRef | str, ...]] = {}
        self._found: dict[tuple[str, str], ClassRef | FunctionRef | External | tuple[Value, Scope]]
        self._found = {}

    def module(self, name: str) -> Source | None:
        """Return the file of a module."""
        self.asked.add(name)
        return self._files.module(name)

    def find(
        self, name: str, near: Source | None = None
    ) -> ClassRef | FunctionRef | External | tuple[Value, Scope]:
        """Return what the dotted name stands for; a value is still to be resolved in its scope.

        `near` is the file in which the name stands: it knows its own names best.
        """
        key = (near.path if near is not None else "", name)
        known = self._found.get(key)
        if known is None:
            self._found[key] = External(name)  # what is asked for again meanwhile is circular
            known = self._found[key] = self._find(name, near)
        return known

    def _find(
        self, name: str, near: Source | None
    ) -> ClassRef | FunctionRef | External | tuple[Value, Scope]:
        if near is not None and name.startswith(near.module + "."):
            found = self._inside(near, name[len(near.module) + 1 :])
            if found is not None:
                return found
        prefix = name
        while prefix:
            source = self.module(prefix)
            if source is not None:
                rest = name[len(prefix) + 1 :]
                found = self._inside(source, rest) if rest else None
                if found is None:
                    return External(name)
                return found if source.reported else self._as_known(name, found)
            prefix = prefix.rpartition(".")[0]
        return External(name)

    def _as_known(
        self, name: str, found: ClassRef | FunctionRef | External | tuple[Value, Scope]
    ) -> ClassRef | FunctionRef | External | tuple[Value, Scope]:
        """Return what the tables say of a name for which an installed library only passes on."""
        module, _, last = name.rpartition(".")
        stub = self._files.stub(module)
        known = None if stub is None else self._inside(stub, last)
        if known is None:
            return External(name) if name in _KNOWN else found
        is_here = isinstance(found, (ClassRef, FunctionRef)) and found.name == name
        return found if is_here else known

    def _inside(
        self, source: Source, rest: str
    ) -> ClassRef | FunctionRef | External | tuple[Value, Scope] | None:
        declared = source.declared
        name = f"{source.module}.{rest}"
        function = source.function(rest)
        if function is not None:
            return FunctionRef(name, function, source, _own_class(function, rest, source))
        if rest in declared.classes:
            return ClassRef(name, declared.classes[rest], source)
        first, _, more = rest.partition(".")
        value = declared.names.get(first)
        if value is None and first in declared.classes:
            value = Global(f"{source.module}.{first}")
            owner, _, attribute = rest.rpartition(".")
            if owner in declared.classes and owner != first:
                value, more = Global(f"{source.module}.{owner}"), attribute
        if value is None:
            return self._from_star(source, rest)
        for part in more.split(".") if more else ():
            value = (
                Global(f"{value.name}.{part}")
                if isinstance(value, Global) and f"{source.module}.{first}" != value.name
                else Attr(value, part)
            )
        return value, source.scope

    def _from_star(
        self, source: Source, rest: str
    ) -> ClassRef | FunctionRef | External | tuple[Value, Scope] | None:
        first = rest.partition(".")[0]
        for star in source.declared.stars:
            origin = self.module(star)
            if origin is None or origin is source:
                continue
            exports = origin.declared.exports
            if first.startswith("_") if exports is None else first not in exports:
                continue
            found = self.find(f"{star}.{rest}")
            if not isinstance(found, External) or self.module(star) is None:
                return found
        return None

    # --- calls ---------------------------------------------------------------------------

    def sites(self, name: str) -> Iterator[tuple[Source, Site]]:
        """Yield the calls of what is named so, each with its file."""
        self.asked.add(calls_fact(name))
        for source in self._files.calling(name):
            for site in source.sites(name):
                yield source, site

    # --- classes -------------------------------------------------------------------------

    def heirs(self, base: str) -> Iterator[ClassRef]:
        """Yield the classes that name the class as their base."""
        last = base.rpartition(".")[2]
        for source in self.deriving(last):
            for name in source.derived(last):
                heir = ClassRef(f"{source.module}.{name}", source.declared.classes[name], source)
                if any(getattr(it, "name", "") == base for it in self.bases(heir)[1:]):
                    yield heir

    def deriving(self, base: str) -> Sequence[Source]:
        """Return the files in which anything derives from what is named so."""
        self.asked.add(heirs_fact(base))
        return self._files.deriving(base)

    def class_named(self, name: str, near: Source | None = None) -> ClassRef | str:
        """Return the class, through aliases; of an unknown one, its dotted name."""
        for _ in range(8):
            found = self.find(name, near)
            if isinstance(found, ClassRef):
                return found
            if isinstance(found, tuple) and isinstance(found[0], Global):
                name, near = found[0].name, found[1].source
                continue
            if isinstance(found, tuple) and isinstance(found[0], Call):
                return _made_by(found[0])
            return name if isinstance(found, External) else ""
        return ""

    def function_named(self, name: str, near: Source) -> FunctionRef | None:
        """Return the function, through the names that it was imported by."""
        source = near
        for _ in range(8):
            found = self.find(name, source)
            if isinstance(found, FunctionRef):
                return found
            if not isinstance(found, tuple) or not isinstance(found[0], Global):
                return None
            name, source = found[0].name, found[1].source
        return None

    def alias(self, name: str, near: Source) -> tuple[Value, Scope] | None:
        """Return what an instance of a type alias is, None if the name is no alias of a union."""
        key = near.path, name
        if key not in self._aliases:
            self._aliases[key] = None if name in KINDS else self._alias(name, near)
        return self._aliases[key]

    def _alias(self, name: str, near: Source) -> tuple[Value, Scope] | None:
        for _ in range(8):
            found = self.find(name, near)
            if not isinstance(found, tuple):
                return None
            value, scope = found
            if not isinstance(value, Global):
                meant = aliased(value)
                return None if meant is UNKNOWN else (meant, scope)
            name, near = value.name, scope.source
        return None

    def canonical(self, name: str, near: Source) -> str:
        """Return the name under which the class is declared, empty if it is no class."""
        if name in KINDS:
            return name
        found = self.class_named(name, near)
        return found if isinstance(found, str) else found.name

    def bases(self, ref: ClassRef) -> Sequence[ClassRef | str]:
        """Return the class and what it inherits from, nearest first; unknown ones as names."""
        key = ref.source.path, ref.name
        known = self._bases.get(key)
        if known is None:
            self._bases[key] = (ref,)  # what is asked for again meanwhile is circular
            known = self._bases[key] = tuple(self._lineage(ref))
        return known

    def _lineage(self, ref: ClassRef) -> Iterator[ClassRef | str]:
        pending: list[ClassRef | str] = [ref]
        seen = 0
        while pending and seen < _DEEPEST_BASES:
            item = pending.pop(0)
            seen += 1
            yield item
            if isinstance(item, ClassRef):
                pending.extend(self._parents(item))

    def ancestors(self, name: str) -> set[str]:
        """Return the names of the class and of all that it inherits from."""
        ref = self.class_named(name)
        known = {name}
        if isinstance(ref, ClassRef):
            known |= {item if isinstance(item, str) else item.name for item in self.bases(ref)}
        return known

    def _parents(self, ref: ClassRef) -> Iterator[ClassRef | str]:
        for base in ref.declared.bases:
            value = base.base if isinstance(base, Item) else base  # Generic[T]
            if isinstance(value, Call):
                # collections.namedtuple(...) and enum's functional form as bases
                yield _made_by(value) or "?"
            elif isinstance(value, Global):
                yield self.class_named(value.name, ref.source) or "?"
            else:
                yield "?"

    def kind(self, name: str, near: Source | None = None) -> Kind:
        """Return the kind of the instances of a class."""
        known = KINDS.get(name)
        if known is not None:
            return known
        found = self.class_named(name, near)
        if isinstance(found, str):
            return KINDS.get(found, Kind.UNKNOWN)
        key = found.source.path, found.name
        known = KINDS.get(found.name) or self._kinds.get(key)
        if known is None:
            self._kinds[key] = Kind.UNKNOWN
            known = self._kinds[key] = self._kind(found)
        return known

    def _kind(self, ref: ClassRef) -> Kind:
        kinds = []
        for item in self.bases(ref):
            name = item if isinstance(item, str) else item.name
            if name in ("collections.namedtuple", "typing.NamedTuple"):
                return Kind.ARRAY
            if name in KINDS:
                if name not in MIXINS:
                    kinds.append(KINDS[name])
                elif name.endswith(".Protocol"):
                    return Kind.UNKNOWN
            elif isinstance(item, str):
                return Kind.UNKNOWN
        return _strongest(kinds) or self._decorated(ref)

    def _decorated(self, ref: ClassRef) -> Kind:
        """Return what decorators make of a class that has no well-known base."""
        if any(word.name == "metaclass" for word in ref.declared.keywords):
            return Kind.UNKNOWN
        for item in self.bases(ref):
            if not isinstance(item, ClassRef):
                continue
            for decorator in item.declared.decorators:
                name = decorator.name if isinstance(decorator, Global) else "?"
                if name in DATACLASS_DECORATORS:
                    return Kind.DATACLASS
                if name in ATTRS_DECORATORS:
                    return Kind.ATTRS
                return Kind.UNKNOWN
        return Kind.OBJECT

    def method(self, ref: ClassRef, name: str) -> FunctionRef | None:
        """Return the method that instances of the class have."""
        for item in self.bases(ref):
            if not isinstance(item, ClassRef):
                continue
            if name not in item.declared.methods:
                continue
            qualified = f"{item.name[len(item.source.module) + 1 :]}.{name}"
            function = item.source.function(qualified)
            if function is not None:
                return FunctionRef(f"{item.name}.{name}", function, item.source)
        return None


def _made_by(call: Call) -> str:
    """Return the name of the function that made a class, empty if it has none."""
    return call.func.name if isinstance(call.func, Global) else ""


def _own_class(function: Function, name: str, source: Source) -> Found | None:
    """Return the class that a class method is called on when it is named by its class."""
    owner, _, last = name.rpartition(".")
    if not function.traits & Trait.CLASS or last == "__new__":
        return None
    declared = source.declared.classes.get(owner)
    if declared is None:
        return None
    return ClassRef(f"{source.module}.{owner}", declared, source), source.scope


def _strongest(kinds: list[Kind]) -> Kind | None:
    """Return the kind that decides, None if none does: one for which JSON has a form wins.

    So ``class Color(str, Enum)`` is written as a string.
    """
    for kind in kinds:
        if kind in PLAIN:
            return kind
    specific = [kind for kind in kinds if kind not in (Kind.UNKNOWN, Kind.OBJECT)]
    return specific[0] if specific else (Kind.OBJECT if Kind.OBJECT in kinds else None)


def file_fact(path: str) -> str:
    """Return the fact of what is in a file; of a module, its name is the fact."""
    return f"file {path}"


def calls_fact(name: str) -> str:
    """Return the fact of what is in the files that have calls of what is named so."""
    return f"calls {name}"


def heirs_fact(name: str) -> str:
    """Return the fact of which files have classes that inherit from what is named so."""
    return f"heirs {name}"
