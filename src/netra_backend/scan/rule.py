"""What a rule is: the kinds of values that it is about, what it says, and how it repairs."""

from msgspec import Struct

from netra_backend.scan.finding import Severity
from netra_backend.scan.kinds import Kind


class Repair(Struct, frozen=True):
    """How to make the expression JSON-safe: text before it and after it.

    With `inside`, the text goes before the closing parenthesis of the call that the expression
    is, after a comma if it has arguments. `kinds` are those for which it is right; `keys` is
    whether it is right for a dict's key too.
    """

    message: str
    before: str
    after: str
    kinds: frozenset[Kind]
    keys: bool = True
    inside: bool = False


class Rule(Struct, frozen=True):
    """One rule. `kinds` are what it finds as a value, `key_kinds` as a dict's key.

    `noun` is how messages call the value; ``{kind}`` in it stands for the kind. `severities`
    are those that its findings can have, worst first.
    """

    code: str
    name: str
    summary: str
    noun: str
    kinds: frozenset[Kind] = frozenset()
    key_kinds: frozenset[Kind] = frozenset()
    severities: tuple[Severity, ...] = (Severity.ERROR, Severity.WARNING)
    repairs: tuple[Repair, ...] = ()
