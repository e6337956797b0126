"""Positions: written and read, compared as integers, refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.core.positions import MAX_NUMBER, Position, parse_position
from netra_backend.errors import ErrorCode, FrameError

numbers = st.integers(0, MAX_NUMBER)
positions = st.builds(Position, numbers, numbers)


@given(positions)
def test_what_is_written_can_be_read(position: Position) -> None:
    assert parse_position(str(position)) == position


@given(positions, positions)
def test_positions_compare_as_integers(one: Position, other: Position) -> None:
    assert (one < other) == ((one.epoch, one.offset) < (other.epoch, other.offset))


def test_offset_10_comes_after_offset_9() -> None:
    assert Position(1, 10) > Position(1, 9)
    assert Position(10, 0) > Position(9, 99)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "-",
        "1-",
        "-1",
        "1-2-3",
        "01-2",
        "1-02",
        "+1-2",
        "1--2",
        " 1-2",
        "1-2 ",
        "1-2\n",
        "1-2\0",
        "1.0-2",
        "1e3-2",
        "0x1-2",
        "1_0-2",
        "\u0661-\u0662",
        "\uff11-\uff12",
        "a-b",
        "1-9223372036854775808",
        "9223372036854775808-1",
        "1-99999999999999999999",
        "1-" + "9" * 5_000,
        "latest",
        "null",
    ],
)
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(FrameError) as refused:
        parse_position(text, where="Last-Event-ID")
    assert refused.value.code is ErrorCode.BAD_INPUT
    assert refused.value.where == "$.Last-Event-ID"
    assert "1-42" in refused.value.message
    assert len(refused.value.message) < 400


@given(st.text(max_size=50))
def test_any_other_text_is_refused(text: str) -> None:
    try:
        position = parse_position(text)
    except FrameError:
        return
    assert str(position) == text


def test_the_largest_position_fits_into_64_bits() -> None:
    assert parse_position(f"{MAX_NUMBER}-{MAX_NUMBER}") == (2**63 - 1, 2**63 - 1)
