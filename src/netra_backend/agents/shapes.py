"""Shapes: a thread's state as the class that an agent has for it.

A class is what pydantic can validate: one of its models, a dataclass, a TypedDict, a plain type.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from netra_backend.errors import AgentError

T = TypeVar("T")


def shaped(state: object, shape: type[T]) -> T:
    """Return the state, which is JSON, as `shape`; ``shape()`` where it is None.

    Raises AgentError naming the field that does not fit, and for a state that is not empty and has
    none of the fields.
    """
    if state is None:
        return shape()
    try:
        found = TypeAdapter(shape).validate_python(state)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in problem["loc"])
        raise AgentError(f"the state does not fit: {path}: {problem['msg']}") from error
    if isinstance(state, dict) and state and _is_bare(found, state):
        has = ", ".join(map(repr, list(state)[:5]))
        raise AgentError(
            f"the state does not fit: it has none of the fields of {shape.__name__}, but {has}"
        )
    return found


def _is_bare(found: object, state: dict[str, Any]) -> bool:
    """Return whether what was made of `state` has fields, and took none of them from it."""
    if isinstance(found, BaseModel):
        return bool(type(found).model_fields) and not found.model_fields_set
    if is_dataclass(found):
        names = {field.name for field in fields(found)}
        if not names or state.keys() & names:
            return False
        shape = type(found)
        return state.keys().isdisjoint(_aliases(TypeAdapter(shape).core_schema, shape))
    return found == {}  # of a TypedDict


def _aliases(schema: Mapping[str, Any], shape: type) -> Iterator[str]:
    """Yield what the fields of a dataclass are called beside their names, by pydantic's schema.

    It also knows what the annotations of a plain dataclass say, and what a configuration does.
    """
    if schema.get("cls", shape) is not shape:
        return
    for part in schema.get("definitions", ()):
        yield from _aliases(part, shape)
    if "schema" in schema:
        yield from _aliases(schema["schema"], shape)
    elif schema["type"] == "dataclass-args":
        for field in schema["fields"]:
            yield from _keys(field.get("validation_alias", []))


def _keys(alias: str | list[Any]) -> list[str]:
    """Return the keys of an alias: it is a key, a path that begins with one, or some paths."""
    if isinstance(alias, str):
        return [alias]
    return [alias[0]] if alias and isinstance(alias[0], str) else [path[0] for path in alias]
