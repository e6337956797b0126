"""Places survive packing, and columns count characters."""

import ast

from hypothesis import given
from hypothesis import strategies as st

from netra_backend.scan.places import NOWHERE, Lines, Place, line_of, pack, unpack

COLUMNS = st.integers(0, 2**15 - 1)


@given(st.integers(1, 2**22 - 1), COLUMNS, st.integers(0, 1023), COLUMNS)
def test_a_place_survives_packing(line: int, column: int, lines: int, end_column: int) -> None:
    place = Place(line, column, line + lines, end_column)
    at = pack(place)
    assert at.bit_length() <= 63
    assert unpack(at) == place
    assert line_of(at) == line


def test_what_is_too_far_away_has_no_place() -> None:
    assert pack(Place(2**22, 0, 2**22, 1)) == NOWHERE
    assert pack(Place(1, 0, 2000, 1)) == NOWHERE


def test_columns_count_characters_and_lines_end_as_in_python() -> None:
    source = "x = 'é\x0c€'; f(y)\r\nz = '𝄞'; f(z)\n"
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            place = Lines(source).place(node)
            line = source.split("\n")[place.line - 1]
            found[place.line] = line[place.column : place.end_column]
    assert found == {1: "f(y)", 2: "f(z)"}
