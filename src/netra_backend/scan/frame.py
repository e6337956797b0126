"""The function under evaluation: what its names stand for now, and what was noted of it."""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from netra_backend.scan.declarations import Site
from netra_backend.scan.environment import (
    Names,
    assign,
    before_clearing,
    children,
    forget_attributes,
    path_of,
    replace,
)
from netra_backend.scan.places import NOWHERE, Lines
from netra_backend.scan.storing import Stored
from netra_backend.scan.values import (
    CHANGED,
    UNKNOWN,
    Altered,
    Argument,
    Attr,
    Dict,
    Entry,
    Global,
    Param,
    Present,
    Seq,
    Value,
    is_harmless,
    marked,
    unmarked,
)

_PRIMARY = frozenset(
    {ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.List, ast.Dict, ast.Set}
)


class Nested(Struct, frozen=True):
    """A function or class whose body is read after the code around it.

    `names` are those of the function around it, as they stood where it was defined.
    """

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    name: str
    names: Names


class File:
    """What the frames of one file share. `package` is what relative imports start from."""

    __slots__ = ("evaluators", "imported", "lines", "module", "package", "sites", "stars")

    def __init__(
        self,
        evaluators: "Mapping[type, Callable[[Frame, Any], Value]]",
        module: str,
        package: str,
        lines: Lines,
    ) -> None:
        self.evaluators = evaluators
        self.module = module
        self.package = package
        self.lines = lines
        self.imported: list[str] = []
        self.stars: list[str] = []
        self.sites: list[Site] = []


class Frame:
    """One pass over one function, a class body, or a module's own statements.

    `outer` gives the names of the scopes around it. `guarded` counts the blocks we are in that
    catch what a sink raises. `conditional` is whether the function may have returned by now, or
    may not come here; `required` are the parameters that are known to be true, or false, where we
    are. `prefix` stands before the names of what is defined here. `exits` are the names at each
    ``break`` and ``continue`` of the loops.
    """

    __slots__ = (
        "assigned_to_self",
        "bound_anew",
        "changed_globals",
        "changes",
        "classed",
        "conditional",
        "declared",
        "defaulted",
        "exits",
        "file",
        "function",
        "global_names",
        "guarded",
        "guards",
        "lines",
        "names",
        "nested",
        "outer",
        "owner",
        "prefix",
        "rebound_globals",
        "rebound_inside",
        "receiver",
        "required",
        "results",
        "stored",
        "stored_by",
        "walruses",
        "yields",
    )

    def __init__(
        self, file: File, function: str, prefix: str, outer: Callable[[str], Value]
    ) -> None:
        self.file = file
        self.lines = file.lines
        self.function = function
        self.prefix = prefix
        self.outer = outer
        self.receiver = ""
        self.owner = ""
        self.names: Names = {}
        self.results: list[Value] = []
        self.yields: list[Value] = []
        self.declared: dict[str, Value] = {}
        self.nested: list[Nested] = []
        self.exits: list[list[Names]] = []
        self.guards: list[str] = []
        self.walruses: list[str] = []
        self.changes: set[str] = set()
        self.classed: set[str] = set()
        """The parameters whose annotation names a class of the project's."""
        self.global_names: set[str] = set()
        self.changed_globals: set[str] = set()
        self.rebound_globals: set[str] = set()
        self.rebound_inside: set[str] = set()
        """The names that a function inside binds as well, whenever it is called."""
        self.bound_anew: set[str] = set()
        """The names of a module that it binds more than once."""
        self.stored: list[Stored] = []
        self.stored_by: list[tuple[str, str]] = []
        self.defaulted: set[str] = set()
        self.assigned_to_self: list[tuple[str, Value, Value, int]] = []
        self.guarded = 0
        self.conditional = False
        self.required: tuple[tuple[str, bool], ...] = ()

    def value(self, node: ast.expr) -> Value:
        """Return the value of the expression; every call inside it is noted."""
        evaluate = self.file.evaluators.get(type(node))
        return UNKNOWN if evaluate is None else evaluate(self, node)

    def visit(self, nodes: Iterable[ast.expr | None]) -> None:
        """Evaluate for the calls inside."""
        for node in nodes:
            if node is not None:
                self.value(node)

    def lookup(self, name: str) -> Value:
        """Return what the name stands for here."""
        value = self.names.get(name)
        return self.outer(name) if value is None else value

    @contextmanager
    def inner_names(self) -> Iterator[None]:
        """Let bindings end with the block, as in a comprehension; ``:=`` in it may bind or not."""
        kept, mark, bound = self.names, len(self.guards), len(self.walruses)
        self.names = dict(kept)
        try:
            yield
        finally:
            kept.update(self._marks_since(kept))
            for name in set(self.walruses[bound:]):
                kept[name] = UNKNOWN if name in kept else self.names.get(name, UNKNOWN)
            self.names = kept
            kept.update(dict.fromkeys(self.guards[mark:], UNKNOWN))

    def _marks_since(self, kept: Names) -> Names:
        """Return the values that were marked as changed since they had the names."""
        return {
            name: value
            for name, value in self.names.items()
            if type(value) is Altered
            and name in kept
            and value is not kept[name]
            and unmarked(value) is unmarked(kept[name])
        }

    def guard(self, node: ast.expr) -> None:
        """Give up what is known of a value: the code asks what it is, and treats it specially."""
        while isinstance(node, (ast.Subscript, ast.Call, ast.Starred)):
            node = node.func if isinstance(node, ast.Call) else node.value
        path = path_of(node)
        if not path:
            return
        held = container_of(self.names.get(path, UNKNOWN))
        itself = held is self.names.get(path)
        if held is not UNKNOWN:
            replace(self.names, held, marked(held, CHANGED))
        if not itself:
            assign(self.names, path, UNKNOWN)
        self.guards.append(path)

    def touch(self, path: str) -> None:
        """Note that what the path names is changed: a parameter, or a variable of the module."""
        root = path.partition(".")[0]
        value = self.names.get(root)
        if value is not None:
            self.changes.update(given(value))
        elif root:
            self.changed_globals.add(root)

    def note_binding(self, name: str) -> None:
        """Note that a name is bound now: what functions find in it may be what it was before."""
        if not self.function and not self.prefix and name in self.names:
            self.bound_anew.add(name)

    def is_empty(self, node: ast.expr) -> bool:
        """Return whether the node names a container in which nothing was stored so far.

        In a loop something may come in a later round, and from a function inside at any time.
        """
        if type(node) is not ast.Name or not self.function or self.exits or self.nested:
            return False
        value = self.names.get(node.id)
        return isinstance(value, (Dict, Seq)) and not value.entries

    @contextmanager
    def unreached(self) -> Iterator[None]:
        """Read what is never executed: for the names in it, not for its calls."""
        self.guarded += 1
        try:
            yield
        finally:
            self.guarded -= 1

    def outlives(self, path: str) -> bool:
        """Return whether what the path names is there when the function has returned."""
        root, _, rest = path.partition(".")
        if rest:
            return bool(self.receiver) and root == self.receiver and "." not in rest
        if not root or not self.function or root in self.names:
            return False
        return self.outer(root) == Global(f"{self.file.module}.{root}")

    def has_changed(self, path: str) -> bool:
        """Return whether attributes of what the path names were assigned here, or are None."""
        prefix = f"{path}."
        return any(
            name.startswith(prefix)
            and not isinstance(value, Present)
            and before_clearing(value) is UNKNOWN
            for name, value in self.names.items()
        )

    def forget(self, node: ast.expr) -> None:
        """Forget the attributes of what the node names: a method may change them."""
        path = path_of(node)
        if path:
            forget_attributes(self.names, path)

    def place(self, node: ast.expr) -> int:
        """Return where the expression stands, for a fix around it.

        Negative if a suffix would need parentheses; `NOWHERE` if it cannot be told from the
        brackets of a call, or if its value may be a default that has no such attribute.
        """
        kind = type(node)
        if kind is ast.GeneratorExp or has_default(node) or path_of(node) in self.defaulted:
            return NOWHERE
        return self.lines.at(node) if kind in _PRIMARY else -self.lines.at(node)

    def argument(self, name: str, node: ast.expr) -> Argument:
        """Return the argument, with its place where it may matter."""
        value = self.value(node)
        return Argument(name, value, 0 if is_harmless(value) else self.place(node))

    def entry(self, key: ast.expr | None, node: ast.expr) -> Entry:
        """Return the item of a display, with its places where they may matter."""
        if isinstance(node, ast.Starred):
            return Entry(None, self.value(node.value), spread=True)
        name = None if key is None else self.value(key)
        value = self.value(node)
        at = 0 if is_harmless(value) else self.place(node)
        key_at = 0 if key is None or is_harmless(name or UNKNOWN) else self.place(key)
        return Entry(name, value, at, key_at=key_at)


def given(value: Value) -> Iterator[str]:
    """Yield the name of the parameter that the value is, or is inside of."""
    for _ in range(8):
        if isinstance(value, Param):
            yield value.name
            return
        value = next(iter(children(value)), UNKNOWN)


def container_of(value: Value) -> Value:
    """Return the container that an item was taken from, or unknown."""
    for _ in range(8):
        if isinstance(value, (Dict, Seq)):
            return value
        value = next(iter(children(value)), UNKNOWN)
    return UNKNOWN


def member(base: Value, name: str, line: int) -> Value:
    """Return the attribute of a value."""
    if base is UNKNOWN:
        return UNKNOWN
    if type(base) is Global:
        return Global(f"{base.name}.{name}", line)
    return Attr(base, name, line)


def has_default(node: ast.expr) -> bool:
    """Return whether the expression is ``getattr(thing, "name", default)``."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) == 3
    )
