"""Validators: which fields of a model they may make something else of."""

import ast

import pytest

from netra_backend.scan.validators import EVERY, remade

MODEL = """
class Visit(BaseModel):
    at: datetime
    @{decorator}
    @classmethod
    def look(cls, at){returns}:
        {body}
"""


def remade_by(decorator: str, body: str, returns: str = "") -> set[str]:
    (model,) = ast.parse(MODEL.format(decorator=decorator, body=body, returns=returns)).body
    assert isinstance(model, ast.ClassDef)
    return set(remade(model))


@pytest.mark.parametrize(
    ("decorator", "names"),
    [
        ("field_validator('at')", {"at"}),
        ("pydantic.field_validator('at', 'ended', mode='plain')", {"at", "ended"}),
        ("validator('*', pre=False)", {EVERY}),
        ("field_validator(*FIELDS)", {EVERY}),
        ("field_validator('at', mode='before')", set()),
        ("validator('at', pre=True)", set()),
        ("model_validator(mode='after')", set()),
        ("cached('at')", set()),
    ],
)
def test_a_validator_names_its_fields(decorator: str, names: set[str]) -> None:
    assert remade_by(decorator, "return str(at)") == names


@pytest.mark.parametrize(
    ("body", "returns", "is_remade"),
    [
        ("return at", "", False),
        ("if at: raise ValueError\n        return at", "", False),
        ("at = str(at); return at", "", True),
        ("return at or None", "", True),
        ("return at.replace(tzinfo=UTC)", " -> datetime", False),
        ("return at.isoformat()", " -> str", True),
    ],
)
def test_what_it_gives_back_decides(body: str, returns: str, is_remade: bool) -> None:
    assert bool(remade_by("field_validator('at')", body, returns)) is is_remade
