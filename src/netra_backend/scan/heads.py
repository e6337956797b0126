"""What a value turns out to be when its names are followed over all files."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from netra_backend.scan.declarations import Class, Function
from netra_backend.scan.values import (
    UNKNOWN,
    Argument,
    Const,
    Dict,
    Instance,
    Seq,
    Text,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from netra_backend.scan.sources import Source


_NONE: "Mapping[str, Value]" = {}


class Scope:
    """Where a value is read: a file, and what the parameters of the function around it are.

    `bound` None is the function on its own: its parameters are open, callers decide. `brought`
    is the file and line of the call that brought what is read here, if one did. `itself` is the
    class of which methods assigned what is read, if it is another than theirs, `slots` what a
    function without a name is given, if one is read.
    """

    __slots__ = ("bound", "brought", "function", "itself", "slots", "source")

    def __init__(
        self,
        source: "Source",
        function: Function | None = None,
        bound: "Mapping[str, tuple[Value, Scope]] | None" = None,
    ) -> None:
        self.source = source
        self.function = function
        self.bound = bound
        self.brought: tuple[str, int] | None = None
        self.itself: ClassRef | None = None
        self.slots: Mapping[str, Value] = _NONE

    def like(self) -> "Scope":
        """Return another scope that is the same."""
        return Scope(self.source, self.function, self.bound)

    def with_slots(self, slots: Mapping[str, Value]) -> "Scope":
        """Return the scope in which there is something in the slots."""
        scope = self.like()
        scope.brought, scope.itself, scope.slots = (
            self.brought,
            self.itself,
            {**self.slots, **slots},
        )
        return scope


class SiteScope(Scope):
    """The scope of a call; its function is looked up only if a parameter is asked for."""

    __slots__ = ("name",)

    def __init__(self, source: "Source", name: str) -> None:
        self.source = source
        self.bound = None
        self.brought = None
        self.itself = None
        self.slots = _NONE
        self.name = name

    @property
    def function(self) -> Function | None:  # type: ignore[override]  # read only here
        """The function in which the call stands."""
        return self.source.function(self.name)


class CallerScope(SiteScope):
    """The scope of a call that is one of all that are seen: its own callers are asked as well."""

    __slots__ = ()

    def __init__(self, source: "Source", name: str, line: int) -> None:
        super().__init__(source, name)
        self.brought = source.path, line

    def like(self) -> Scope:
        """Return another scope that is the same."""
        return CallerScope(self.source, self.name, self.brought[1] if self.brought else 0)


class ClassRef:
    """A class whose declaration we have."""

    __slots__ = ("declared", "name", "source")

    def __init__(self, name: str, declared: Class, source: "Source") -> None:
        self.name = name
        self.declared = declared
        self.source = source


class FunctionRef:
    """A function whose declaration we have; `receiver` is what a method is bound to."""

    __slots__ = ("function", "name", "receiver", "source")

    def __init__(
        self,
        name: str,
        function: Function,
        source: "Source",
        receiver: "Found | None" = None,
    ) -> None:
        self.name = name
        self.function = function
        self.source = source
        self.receiver = receiver


class External:
    """Something of which we know only the dotted name; of a method, with that of its class."""

    __slots__ = ("name", "receiver")

    def __init__(self, name: str, receiver: "Found | None" = None) -> None:
        self.name = name
        self.receiver = receiver


class Partial:
    """``functools.partial``: a function with arguments that it already has."""

    __slots__ = ("args", "func")

    def __init__(self, func: "Found", args: tuple[Argument, ...]) -> None:
        self.func = func
        self.args = args


class Super:
    """``super()``: the receiver, as an instance of what its class inherits from."""

    __slots__ = ("owner", "receiver")

    def __init__(self, owner: ClassRef, receiver: "Found") -> None:
        self.owner = owner
        self.receiver = receiver


class Open:
    """Whatever the caller passes."""

    __slots__ = ()


class Alternatives:
    """One of several, by declaration or by the path taken."""

    __slots__ = ("options",)

    def __init__(self, options: "Sequence[Found]") -> None:
        self.options = options


class Settled:
    """A value that is resolved already, to stand among values that are not."""

    __slots__ = ("found",)

    def __init__(self, found: "Found") -> None:
        self.found = found


class Suspended:
    """A value with the scope in which it is to be read, should anybody ask."""

    __slots__ = ("scope", "value")

    def __init__(self, value: Value, scope: Scope) -> None:
        self.value = value
        self.scope = scope


def suspended(value: Value, scope: Scope) -> Value:
    """Return the value as one that keeps its own scope."""
    return Suspended(value, scope)  # type: ignore[return-value]  # lives in the link only


def settled(found: "Found") -> Value:
    """Return what was found, as a value that keeps its own scope."""
    return Settled(found)  # type: ignore[return-value]  # lives in the link only


Head = (
    Unknown
    | Const
    | Instance
    | Dict
    | Seq
    | Text
    | Alternatives
    | ClassRef
    | FunctionRef
    | External
    | Partial
    | Super
    | Open
)
Found = tuple[Head, Scope]
"""What was found, and the scope in which the values inside it are to be read."""

_MOST = 16
"""More alternatives are cut, and what was cut is unknown."""

OPEN = Open()
"""The one instance: of what callers pass we know nothing else."""


def either(options: Sequence[Found], scope: Scope) -> Found:
    """Return one of the options, flat and without what is the same twice."""
    flat: list[Found] = []
    for option in options:
        inner = option[0].options if isinstance(option[0], Alternatives) else (option,)
        for found in inner:
            if len(flat) < _MOST and not any(_same(found, other) for other in flat):
                flat.append(found)
    if not flat:
        return UNKNOWN, scope
    if len(flat) == _MOST:
        flat.append((UNKNOWN, scope))
    return flat[0] if len(flat) == 1 else (Alternatives(flat), scope)


def brought(found: Found, call: tuple[str, int]) -> Found:
    """Return what was found as something that the call has brought, unless another has."""
    head, scope = found
    if isinstance(head, Alternatives):
        return either([brought(option, call) for option in head.options], scope)
    if scope.brought is not None or not isinstance(head, Instance):
        return found
    marked = scope.with_slots({})
    marked.brought = call
    return head, marked


def _same(one: Found, other: Found) -> bool:
    if one[0] is other[0]:
        return True
    return isinstance(one[0], (Const, Unknown)) and one[0] == other[0]


def over(found: Found, step: Callable[[Found], Found]) -> Found:
    """Return what the step makes of each alternative."""
    head, scope = found
    if isinstance(head, Alternatives):
        return either([step(option) for option in head.options], scope)
    return step(found)
