"""What a module declares: its names, classes and functions, and the calls that may matter."""

from enum import IntEnum

from msgspec import Raw, Struct

from netra_backend.scan.values import UNKNOWN, Argument, Value


class ParamKind(IntEnum):
    """How arguments reach a parameter."""

    POSITIONAL = 0
    """By position only, or by position and name."""
    VARIADIC = 1
    """``*args``"""
    KEYWORD = 2
    """By name only."""
    KEYWORDS = 3
    """``**kwargs``"""


class Parameter(Struct, frozen=True, array_like=True):
    """A parameter; `annotation` is unknown when there is none, `default` None."""

    name: str
    kind: ParamKind
    annotation: Value = UNKNOWN
    default: Value | None = None


class Trait:
    """What a function is: bits of an integer, since millions of functions are read back."""

    NONE = 0
    ASYNC = 1
    GENERATOR = 2
    METHOD = 4
    """The first parameter is the receiver."""
    STATIC = 8
    CLASS = 16
    PROPERTY = 32
    DECORATED = 64
    """By something that may change what a call does."""
    ABSTRACT = 128
    """Has no body worth reading: a stub, a Protocol, ``raise NotImplementedError``."""
    OVERLOAD = 256
    CONTEXT = 512
    """Decorated by ``contextmanager``: ``with`` gives what it yields."""


class Handled(Struct, frozen=True, array_like=True):
    """What a ``default=`` function converts: instances of `classes`; all, if it never refuses."""

    classes: tuple[Value, ...] = ()
    everything: bool = True


class Function(Struct, frozen=True, array_like=True):
    """A function: what it takes, what it returns, and what it may change.

    `declared` is the annotation of the result, `result` what its returns say, `yields` what a
    generator gives. `changes` are the parameters that it may change or keep. `decorators` are
    those that make it `DECORATED`, a call without its arguments.
    """

    params: tuple[Parameter, ...]
    traits: int
    declared: Value = UNKNOWN
    result: Value = UNKNOWN
    yields: Value = UNKNOWN
    changes: tuple[str, ...] = ()
    owner: str = ""
    line: int = 0
    handled: Handled = Handled()
    decorators: tuple[Value, ...] = ()


class Attribute(Struct, frozen=True, array_like=True):
    """An attribute of a class: what its annotation declares, and what is assigned to it.

    `inner` is whether it is assigned only in methods, to ``self``; `param` names the parameter
    that it is, if one method alone assigns to it.
    """

    declared: Value = UNKNOWN
    assigned: Value = UNKNOWN
    line: int = 0
    inner: bool = False
    param: str = ""


EXCLUDED = "exclude "
"""Stands in a class's settings before the name of a field that a dump leaves out."""


class Class(Struct, frozen=True, array_like=True):
    """A class; `annotated` are the attributes with an annotation, in the order of the source,
    `methods` the functions that it defines, `settings` pydantic's and ``total``."""

    bases: tuple[Value, ...]
    keywords: tuple[Argument, ...] = ()
    decorators: tuple[Value, ...] = ()
    attributes: dict[str, Attribute] = {}
    annotated: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    line: int = 0


class Site(Struct, frozen=True, array_like=True):
    """A call that may hand a value to a sink.

    `function` is the qualified name of where it stands, empty at module level. `at` is negative
    if no argument can be added. `conditional` is whether the function may return without it,
    `required` are the parameters that must be true, or false, for it to be reached. `told` is
    what was called in its stead, if that was told to call it.
    """

    function: str
    func: Value
    args: tuple[Argument, ...]
    line: int
    at: int
    conditional: bool = False
    required: tuple[tuple[str, bool], ...] = ()
    told: Value = UNKNOWN


class Module(Struct, frozen=True, array_like=True):
    """What one file declares.

    `functions` are encoded, each a `Function`: most are never asked for. `stars` are the modules
    of ``from … import *``.
    """

    names: dict[str, Value] = {}
    functions: dict[str, Raw] = {}
    classes: dict[str, Class] = {}
    stars: tuple[str, ...] = ()
    exports: tuple[str, ...] | None = None
