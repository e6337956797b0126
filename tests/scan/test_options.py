"""The table ``[tool.netra.scan]``."""

import tomllib

import pytest

from netra_backend.errors import ConfigError
from netra_backend.scan.options import (
    Encoder,
    LogEncoder,
    Options,
    PerFileIgnore,
    Sink,
    parse_codes,
    parse_options,
)

RULES = ("JS001", "JS002", "JS100")


def parse(text: str) -> Options:
    return parse_options(tomllib.loads(text), "pyproject.toml", RULES)


def test_every_key_is_read() -> None:
    options = parse("""
        select = ["ALL"]
        ignore = ["JS1"]
        exclude = ["generated/"]
        src = ["backend"]
        sinks = ["app.send", { name = "app.Bus.put", argument = "body", encoder = "orjson" }]
        safe = ["app.plain"]
        log-encoder = "total"
        python = ".venv"
        baseline = "baseline.json"
        fail-on = "error"
        notes = false
        [per-file-ignores]
        "tests/**" = ["JS001"]
    """)
    assert options == Options(
        select=("JS",),
        ignore=("JS1",),
        per_file_ignores=(PerFileIgnore("tests/**", ("JS001",)),),
        exclude=("generated/",),
        src=("backend",),
        sinks=(Sink("app.send"), Sink("app.Bus.put", "body", Encoder.ORJSON)),
        safe=("app.plain",),
        log_encoder=LogEncoder.TOTAL,
        python=".venv",
        baseline="baseline.json",
        fail_on="error",
        notes=False,
    )


def test_the_longer_code_wins() -> None:
    options = parse('select = ["JS001", "JS1"]\nignore = ["JS", "JS100"]')
    assert [options.enabled(rule) for rule in RULES] == [True, False, False]
    assert all(map(Options().enabled, RULES))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("selct = []", "[tool.netra.scan] has no key 'selct'; there are select, ignore"),
        ("select = 'JS001'", "tool.netra.scan.select is 'JS001', and must be a list"),
        ("select = ['JS001', 3]", "select[1] is 3, and must be a rule such as"),
        ("ignore = ['JS777']", "ignore[0] is 'JS777', and must be one of the rules that exist: JS"),
        ("exclude = ['']", "exclude[0] is '', and must be a text"),
        ("safe = ['a-b']", "safe[0] is 'a-b', and must be a dotted name"),
        ("safe = ['a..b']", "safe[0] is 'a..b'"),
        ("sinks = [1]", "sinks[0] is 1, and must be a dotted name, or a table"),
        ("sinks = [{name='a', arg='b'}]", "sinks[0].arg is 'b', and must be left out"),
        ("sinks = [{name='a', encoder='x'}]", "sinks[0].encoder is 'x', and must be one of 'json'"),
        ("log-encoder = 'xml'", "log-encoder is 'xml', and must be one of 'auto', 'none'"),
        ("fail-on = 'fatal'", "fail-on is 'fatal', and must be one of 'error'"),
        ("notes = 1", "notes is 1, and must be true or false"),
        ("per-file-ignores = []", "per-file-ignores is [], and must be a table"),
        ("per-file-ignores.'a' = ['X']", "per-file-ignores.'a'[0] is 'X'"),
    ],
)
def test_an_error_names_the_file_the_key_and_the_value(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith("pyproject.toml: ")
    assert said in str(caught.value)


def test_codes_on_the_command_line() -> None:
    assert parse_codes("JS001, JS1", "--select", RULES) == ("JS001", "JS1")
    for text, wrong in (("E501", "E501"), ("", ""), ("JS001,", "")):
        with pytest.raises(ConfigError, match=rf"--select is '{wrong}', and must be a rule"):
            parse_codes(text, "--select", RULES)
