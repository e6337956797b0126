"""Plain data as text."""

import json
import subprocess
import sys
from typing import Any

import pytest

from netra_backend.jsonlog.encode import encode, seen


@pytest.mark.parametrize("plain", [None, True, 2**63, 2**64, -(2**70), 1e16, 5e-324, "é😀", [], {}])
def test_what_is_written_is_what_is_read(plain: Any) -> None:
    for one in (plain, [plain], {"a": {"b": [plain]}}):
        assert json.loads(encode(one)) == one
        assert " " not in encode(one)


def test_characters_that_steer_are_escaped() -> None:
    text = "\x00\n\x1b\x7f\x85\u2028\u202e\ufeff"
    assert encode(text).isprintable()
    assert json.loads(encode({text: text})) == {text: text}
    assert seen('"a\x7f"') == '"a\\u007f"'


def test_the_encoder_loads_with_the_first_text() -> None:
    code = (
        "import sys; from netra_backend import jsonlog; print('orjson' in sys.modules);"
        "jsonlog.dumps(1); print('orjson' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
