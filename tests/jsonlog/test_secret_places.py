"""Each place is known to the quick look, and met by a line that somebody really writes."""

import pytest

from netra_backend.jsonlog.secret_places import COMMANDS, PLACES, has_no_place
from netra_backend.jsonlog.shapes import REDACTED, is_harmless, redact_text
from tests.jsonlog.real_lines import INNOCENT, SECRET


@pytest.mark.parametrize("anchor", PLACES)
def test_a_place_is_met_and_hides_what_stands_there(anchor: str) -> None:
    lines = [line for line in SECRET if anchor in line.lower()]
    assert lines
    for line in lines:
        found = PLACES[anchor].search(line, line.lower().index(anchor) + len(anchor))
        assert not is_harmless(line)
        assert found is None or found["secret"] not in redact_text(line)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_met_and_hides_its_option(name: str) -> None:
    lines = [line for line in SECRET if name in line]
    assert lines
    assert not [line for line in lines if is_harmless(line) or redact_text(line) == line]


def test_the_secret_of_a_command_may_have_its_name_and_go_on() -> None:
    for secret in ("curla", "acurla", "x" * 1_000):
        assert redact_text(f"curl -u ann:{secret} x") == f"curl -u ann:{REDACTED} x"
        assert redact_text(f"mysql -pmysql{secret} x") == f"mysql -p{REDACTED} x"
    assert redact_text("curl --user 'curl:x'") == f"curl --user 'curl:{REDACTED}'"
    assert redact_text("curl x | y -u ann:portal") == "curl x | y -u ann:portal"


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
        "/api/webhooks/123456/deliveries-of-the-project",
        "signature=Callable.of_many.Words_2",
        "https://a.b/?code=ERR_CONNECTION_REFUSED_2",
        "mysqladmin -protocol tcp -plugin-dir /x -print",
        "mysql is up; ssh -p2222 host",
        "the password 'name' label",
        "bots: /bot1 and /bot2",
        "password reset, password reuse",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("before", "secret", "after"),
    [
        ("?code=", "onlysmalllettershere", "&state=x"),
        ("?code=", "ABCD-EFGH-IJKL-MNOP", ""),
        ("?code=", "1234-5678-9012-3456", ""),
        ("?sig=", "onlysmalllettershere", ""),
        ("&code=", "0a1b2c3d4e5f6a7b8c9d", ""),
        ("&code=", "0f2b4a7e-8d2c-4a73-9bb2-0c5dd1bb6a11.x", "&x"),
        ("mysql -e 'use x; select' -p", "portal", " x"),
    ],
)
def test_what_no_name_is_made_of_is_hidden(before: str, secret: str, after: str) -> None:
    assert redact_text(f"{before}{secret}{after}") == f"{before}{REDACTED}{after}"
