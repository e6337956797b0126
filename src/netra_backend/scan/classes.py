"""The body of a class: its attributes, from annotations, assignments and the methods' ``self``."""

import ast
from collections.abc import Mapping

from msgspec import structs

from netra_backend.scan.aliases import generic_base, own_variables
from netra_backend.scan.declarations import EXCLUDED, Attribute, Class
from netra_backend.scan.environment import path_of, weight
from netra_backend.scan.frame import Frame
from netra_backend.scan.grounding import ground
from netra_backend.scan.storing import with_items
from netra_backend.scan.validators import EVERY, remade
from netra_backend.scan.values import UNKNOWN, Argument, Call, Entry, Param, Value, join, unmarked

_SERIALIZERS = frozenset({"field_serializer", "model_serializer", "serializer", "validator_json"})
_HEAVIEST = 100


class ClassBody:
    """A class that is being read."""

    __slots__ = ("_attributes", "_bases", "_decorators", "_defaults", "_frame", "_keywords",
                 "_methods", "_node", "_settings", "_stored", "name")  # fmt: skip

    def __init__(self, name: str, node: ast.ClassDef, scope: Frame, frame: Frame) -> None:
        self.name = name
        self._node = node
        self._frame = frame
        self._bases = (*map(scope.value, node.bases), *generic_base(own_variables(node)))
        self._keywords = tuple(
            Argument(word.arg or "**", scope.value(word.value)) for word in node.keywords
        )
        self._decorators = tuple(
            scope.value(item.func if isinstance(item, ast.Call) else item)
            for item in node.decorator_list
        )
        self._attributes: dict[str, Attribute] = {}
        self._methods: list[str] = []
        self._stored: dict[str, list[Entry]] = {}
        self._defaults: list[tuple[str, Argument]] = []
        self._settings = set(_settings(node))

    def finish(self) -> None:
        """Take over what the body bound, once it has been run."""
        frame = self._frame
        own = {nested.node.name for nested in frame.nested}
        for name, value in frame.names.items():
            if name in own and not _is_class(frame, name):
                self._methods.append(name)
            elif "." not in name:
                declared = frame.declared.get(name, UNKNOWN)
                assigned = value if weight(value, _HEAVIEST) <= _HEAVIEST else UNKNOWN
                self._attributes[name] = Attribute(declared, assigned, _line(value))
        for name, declared in frame.declared.items():
            if name not in self._attributes:
                self._attributes[name] = Attribute(declared, UNKNOWN, _line(declared))

    def assign(
        self, name: str, declared: Value, value: Value, line: int, params: Mapping[str, Value]
    ) -> None:
        """Note that a method assigns to ``self.name``; `params` are what it is given.

        Of ``name.default`` it is the object there that is assigned to.
        """
        if "." in name:
            self._defaults.append((name.rpartition(".")[0], Argument("default", UNKNOWN)))
            return
        given = unmarked(value)
        param = given.name if isinstance(given, Param) else ""
        value = ground(value, params)
        if weight(value, _HEAVIEST) > _HEAVIEST:
            value = UNKNOWN
        known = self._attributes.get(name)
        if known is None:
            self._attributes[name] = Attribute(declared, value, line, True, param)
            return
        self._attributes[name] = Attribute(
            declared if known.declared is UNKNOWN else known.declared,
            join(known.assigned, value),
            known.line,
            known.inner,
        )

    def remake(self, name: str, value: Value, params: Mapping[str, Value]) -> None:
        """Note that the attribute is the value in the end, whatever it was declared to be."""
        known = self._attributes.get(name)
        value = ground(value, params)
        if known is not None and weight(value, _HEAVIEST) <= _HEAVIEST:
            self._attributes[name] = structs.replace(known, declared=value)

    def store(self, name: str, item: Entry) -> None:
        """Note that a method stores the item in the container ``self.name``."""
        self._stored.setdefault(name, []).append(item)

    def result(self) -> Class:
        """Return the class."""
        for name, items in self._stored.items():
            known = self._attributes.get(name)
            if known is not None:
                assigned = with_items(known.assigned, items)
                self._attributes[name] = structs.replace(known, assigned=assigned)
        for name, default in self._defaults:
            known = self._attributes.get(name)
            if known is not None and isinstance(known.assigned, Call):
                told = structs.replace(known.assigned, args=(*known.assigned.args, default))
                self._attributes[name] = structs.replace(known, assigned=told)
        remade_fields = self._forget_remade()
        return Class(
            self._bases,
            self._keywords,
            self._decorators,
            self._attributes,
            tuple(dict.fromkeys((*self._frame.declared, *remade_fields))),
            tuple(self._methods),
            tuple(sorted(self._settings)),
            self._node.lineno,
        )

    def _forget_remade(self) -> list[str]:
        """Know nothing of the fields of which a validator may make something else; return them.

        Those of a base are told of too: what is said here is looked at first.
        """
        names = remade(self._node)
        if EVERY in names:
            self._settings.add("serializer")
            names |= self._frame.declared.keys()
        fields = sorted(names - {EVERY})
        for name in fields:
            line = self._attributes.get(name, Attribute(UNKNOWN, UNKNOWN, self._node.lineno)).line
            self._attributes[name] = Attribute(UNKNOWN, UNKNOWN, line)
        return fields


def _is_class(frame: Frame, name: str) -> bool:
    return any(n.node.name == name and isinstance(n.node, ast.ClassDef) for n in frame.nested)


def _line(value: Value) -> int:
    return int(getattr(value, "line", 0))


def _settings(node: ast.ClassDef) -> list[str]:
    """Return what decides how a pydantic model is dumped."""
    found = []
    for statement in node.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in statement.decorator_list:
                target = decorator.func if isinstance(decorator, ast.Call) else decorator
                serializes = path_of(target).rpartition(".")[2] in _SERIALIZERS
                if serializes and not _only_in_json_mode(decorator):
                    found.append("serializer")
            if statement.name in ("model_dump", "dict"):
                found.append("serializer")
        elif isinstance(statement, ast.ClassDef) and statement.name == "Config":
            found.extend(_names_set(statement.body))
        elif isinstance(statement, ast.AnnAssign) and _is_left_out(statement.value):
            found.append(f"{EXCLUDED}{path_of(statement.target)}")
        elif isinstance(statement, ast.Assign) and path_of(statement.targets[0]) == "model_config":
            found.extend(_config(statement.value))
    return found


def _is_left_out(value: ast.expr | None) -> bool:
    """Return whether a field is made with ``exclude=``."""
    return isinstance(value, ast.Call) and any(
        word.arg == "exclude" and getattr(word.value, "value", True) for word in value.keywords
    )


def _only_in_json_mode(decorator: ast.expr) -> bool:
    """Return whether the serializer leaves alone what is dumped for Python."""
    return isinstance(decorator, ast.Call) and any(
        word.arg == "when_used"
        and isinstance(word.value, ast.Constant)
        and word.value.value in ("json", "json-unless-none")
        for word in decorator.keywords
    )


def _names_set(body: list[ast.stmt]) -> list[str]:
    return [
        path_of(target)
        for item in body
        if isinstance(item, ast.Assign)
        for target in item.targets
        if not (isinstance(item.value, ast.Constant) and item.value.value is False)
    ]


def _config(value: ast.expr) -> list[str]:
    pairs: list[tuple[str | None, ast.expr]] = []
    if isinstance(value, ast.Call):
        pairs = [(word.arg, word.value) for word in value.keywords]
    elif isinstance(value, ast.Dict):
        pairs = [
            (str(key.value), item)
            for key, item in zip(value.keys, value.values, strict=True)
            if isinstance(key, ast.Constant)
        ]
    return [
        name
        for name, item in pairs
        if name and not (isinstance(item, ast.Constant) and item.value is False)
    ]
