"""Answers: whether what a person answers is what the question asks for.

A question says that by a JSON Schema (``responseSchema``; draft 2020-12, or the one that it names
in ``$schema``), formats included. Without one it takes any JSON value. A schema comes from an
agent, a value from anybody: nothing is fetched for a ``$ref``, and a pattern that goes back and
forth without end counts as not matched.
"""

from typing import Any

import jsonschema_rs
from ag_ui.core import ResumeEntry

from netra_backend import jsonlog
from netra_backend.errors import AgentError, ErrorCode, Refused

APPROVAL: dict[str, Any] = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}},
    "required": ["approved"],
}
"""The JSON Schema of the answer to a question for an approval: yes or no."""

APPROVALS = frozenset({"approval", "confirmation", "tool_call"})
"""Reasons of questions for an approval, AG-UI's own among them; the page knows the same."""

MAX_BACKTRACKS = 100_000
"""Steps that a regular expression of a schema may go back before it counts as not matched."""

MAX_STEP_LENGTH = 100
"""Characters of a property's name in the path of what is wrong: who answers has made it up."""

_Kind = jsonschema_rs.ValidationErrorKind
_FIXED = {
    _Kind.Required: "the value is missing",
    _Kind.PropertyNames: "the name of a property is not allowed",
    _Kind.AdditionalProperties: "there is a property that is not allowed",
    _Kind.UnevaluatedProperties: "there is a property that is not allowed",
}
"""What is told instead of a text that names a property."""

_VALUE = "the value"
"""What a refusal calls the value: of its text, which may be long or secret, it says nothing."""


def approves(answer: ResumeEntry) -> bool:
    """Return whether a person said yes, with a reason or without; all that is no yes is a no."""
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    return answer.status == "resolved" and payload.get("approved") is True


def reason_of(answer: ResumeEntry) -> str:
    """Return the reason that a person gave with a yes or no, or ``""``."""
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    reason = payload.get("reason")
    return reason if isinstance(reason, str) else ""


def check_schema(schema: dict[str, Any]) -> None:
    """Raise AgentError, naming what is wrong and where, if `schema` is no JSON Schema."""
    try:
        _validator(schema)
    except jsonschema_rs.ValidationError as error:
        where = _path("$", error.instance_path)
        raise AgentError(f"the schema of the question is none: {where}: {error.message}") from error


def check_answer(question: dict[str, Any], payload: object, where: str) -> None:
    """Raise Refused (bad_answer) if `payload` is not what `question`, an AG-UI interrupt, asks for.

    `where` is the path of the payload in what was sent; the refusal names the one of its part that
    is wrong. A schema that is none asks for nothing: AG-UI carries it as it is.
    """
    schema = question.get("responseSchema")
    if not isinstance(schema, dict):
        return
    try:
        validator = _validator(schema)
    except jsonschema_rs.ValidationError:
        return
    for error in validator.iter_errors(payload):
        raise Refused(ErrorCode.BAD_ANSWER, _told(error), where=_place(where, error))


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        schema,
        validate_formats=True,
        offline=True,
        mask=_VALUE,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS),
    )


def _told(error: jsonschema_rs.ValidationError) -> str:
    kind = error.kind
    if isinstance(kind, _Kind.Format):  # the library says `is not a "email"`, and of all formats so
        return f'the value does not have the format "{kind.format}"'
    return _FIXED.get(type(kind), error.message)


def _place(where: str, error: jsonschema_rs.ValidationError) -> str:
    """Return the path of what is wrong; of a property that is missing, the path it would have."""
    kind = error.kind
    missing = [kind.property] if isinstance(kind, _Kind.Required) else []
    return _path(where, [*error.instance_path, *missing])


def _path(where: str, steps: list[str | int]) -> str:
    """Return the path from `where` on, such as ``$.payload.sizes[2]``."""
    for step in map(_bounded, steps):
        plain = isinstance(step, str) and step.isidentifier()
        where += f".{step}" if plain else f"[{jsonlog.dumps(step)}]"
    return where


def _bounded(step: str | int) -> str | int:
    if isinstance(step, str) and len(step) > MAX_STEP_LENGTH:
        return f"{step[:MAX_STEP_LENGTH]}…"
    return step
