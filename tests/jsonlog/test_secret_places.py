"""Each place is known to the quick look, and met by a line that somebody really writes."""

import pytest

from netra_backend.jsonlog.secret_places import PLACES, has_no_place
from netra_backend.jsonlog.shapes import is_harmless, redact_text
from tests.jsonlog.real_lines import INNOCENT, SECRET


@pytest.mark.parametrize("anchor", PLACES)
def test_a_place_is_met_and_hides_what_stands_there(anchor: str) -> None:
    lines = [line for line in SECRET if anchor in line.lower()]
    assert lines
    for line in lines:
        found = PLACES[anchor].search(line, line.lower().index(anchor) + len(anchor))
        assert not is_harmless(line)
        assert found is None or found["secret"] not in redact_text(line)


def test_the_quick_look_lets_most_lines_pass() -> None:
    passed = [line for line in INNOCENT if has_no_place(line, line.lower())]
    assert len(passed) > len(INNOCENT) * 0.8


@pytest.mark.parametrize(
    "text",
    [
        "docker run -u 1000 curl -s https://a.b/",
        "curl -X POST https://a.b/ -o out.json",
        "mysql -uroot -h db orders",
        "exit code=137 after 3 s",
        "https://a.b/?code=404&state=x",
        "signature=short",
        "bots: /bot1 and /bot2",
        "password reset, password reuse",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert redact_text(text) == text
