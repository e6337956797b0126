"""The tree of exceptions and the two tables are complete, legal, and as they are described."""

import ast
import inspect
import re
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.frames import Close

from netra_backend import errors
from netra_backend.errors import (
    CLOSES,
    ERRORS,
    CloseCode,
    ErrorCode,
    Fault,
    FrameError,
    NetraError,
    Refused,
    Retry,
)

SOURCE = Path(errors.__file__).parent


def test_every_error_code_has_a_row() -> None:
    assert list(ERRORS) == list(ErrorCode)


def test_every_close_code_has_a_row() -> None:
    assert list(CLOSES) == list(CloseCode)


@pytest.mark.parametrize("code", list(CloseCode))
def test_close_codes_may_be_sent(code: CloseCode) -> None:
    """RFC 6455 sections 7.4.1 and 7.4.2, and the two codes that IANA has added since."""
    assert code in {1000, 1001, 1008, 1009, 1011, 1012, 1013} or 4000 <= code <= 4999
    Close(code, CLOSES[code].reason).check()


@pytest.mark.parametrize("code", list(CloseCode))
def test_close_reasons_fit_into_a_control_frame(code: CloseCode) -> None:
    """RFC 6455 section 5.5: 125 bytes, of which the code takes two."""
    assert 0 < len(CLOSES[code].reason.encode()) <= 123


@pytest.mark.parametrize("code", list(ErrorCode))
def test_error_rows_agree_with_their_http_status(code: ErrorCode) -> None:
    row = ERRORS[code]
    assert row.fault is {4: Fault.CLIENT, 5: Fault.SERVER}[HTTPStatus(row.status) // 100]
    assert (row.status == HTTPStatus.UNAUTHORIZED) == (row.retry is Retry.AFTER_LOGIN)
    assert row.status != HTTPStatus.TOO_MANY_REQUESTS or row.retry is Retry.LATER


@pytest.mark.parametrize("row", [*ERRORS.values(), *CLOSES.values()], ids=str)
def test_a_meaning_is_a_sentence(row: errors.ErrorRow | errors.CloseRow) -> None:
    assert re.match("[A-Z`]", row.meaning)
    assert row.meaning.endswith(".")


def test_reasons_and_values_are_not_used_twice() -> None:
    assert len({row.reason for row in CLOSES.values()}) == len(CloseCode)
    assert len({code.value for code in ErrorCode}) == len(ErrorCode.__members__)
    assert len({code.value for code in CloseCode}) == len(CloseCode.__members__)
    assert all(re.fullmatch("[a-z_]+", code.value) for code in ErrorCode)


def described() -> dict[str, str]:
    """Return the tree in the module's docstring: each class with its parent."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for row in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        found = re.fullmatch(r" {4}([ │├└─]*)(\w+)(?: {2,}\S.*)?", row)
        if found:
            depth = len(found[1]) // 4
            del above[depth:]
            if above:
                parents[found[2]] = above[-1]
            above.append(found[2])
    return parents


def raised() -> dict[str, str]:
    """Return each class of the sources that is an exception, with its parent."""
    classes = [
        (one.name, base.id)
        for path in SOURCE.rglob("*.py")
        if "stubs" not in path.parts
        for one in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(one, ast.ClassDef)
        for base in one.bases
        if isinstance(base, ast.Name)
    ]
    found = {"Exception": "", "BaseException": ""}
    while new := {name: base for name, base in classes if base in found and name not in found}:
        found |= new
    return {name: parent for name, parent in found.items() if parent}


def test_the_described_tree_is_the_real_one() -> None:
    real = raised()
    assert described() | {"NetraError": "Exception"} == real


def test_errors_carry_what_is_needed_to_answer() -> None:
    error = FrameError("bad", code=ErrorCode.BAD_INPUT, where="$.run", request="r1")
    assert (str(error), error.message) == ("bad", "bad")
    assert (error.code, error.where, error.request) == (ErrorCode.BAD_INPUT, "$.run", "r1")
    assert FrameError("bad").code is ErrorCode.BAD_FRAME
    assert str(Refused(ErrorCode.NOT_FOUND)) == ERRORS[ErrorCode.NOT_FOUND].meaning
    assert Refused(ErrorCode.NOT_FOUND, "no such thread").message == "no such thread"
    assert isinstance(error, NetraError)
