"""docs/operations.md lists every setting, option and code of an end as the code has it."""

import ast
import inspect
import re
import shlex
from pathlib import Path

import pytest
from typer import Typer
from typer.main import get_command
from typer.testing import CliRunner

from netra_backend import config
from netra_backend.cli import serve, server
from netra_backend.cli.check import OpenRun, Report, line_of, summary_of
from netra_backend.config import Settings, load_settings
from netra_backend.core.audit import Finding
from netra_backend.errors import RUN_ERRORS, RunError

ROOT = Path(__file__).parents[2]
NETRA = Typer(add_completion=False)
NETRA.command()(serve.serve)
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def meanings() -> dict[str, str]:
    """Return the docstring of each setting: the string that stands under it in the source."""
    tree = ast.parse(inspect.getsource(config))
    cls = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Settings")
    found: dict[str, str] = {}
    for before, after in zip(cls.body, cls.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(before.target, ast.Name)
            found[before.target.id] = " ".join(ast.literal_eval(after.value).split())
    return found


def shown(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, config.AuthMode):
        return f"`{value.value}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"{value:,}" if isinstance(value, int) else f"`{value}`"


def table() -> str:
    rows = ["| setting | variable | default | meaning |", "|---|---|---|---|"]
    told = meanings()
    for name, field in Settings.model_fields.items():
        default = shown(field.default)
        rows.append(f"| `{name}` | `NETRA_{name.upper()}` | {default} | {told[name]} |")
    return "\n".join(rows)


def test_every_setting_is_listed_as_it_is() -> None:
    assert table() in PAGE, f"expected in docs/operations.md:\n{table()}"


def test_the_example_of_a_check_is_told_as_it_is() -> None:
    findings = [
        Finding("the entry before it, 1763909511-42, is missing", "alice,t1", "1763909511-43"),
        Finding("run r7 has ended, and still has a lease", "alice,t1"),
    ]
    report = Report(
        "copy/netra.db",
        6,
        whole=False,
        threads=12,
        runs=34,
        entries=5_678,
        open_runs=[OpenRun("alice,t2", "r9")],
        findings=findings,
    )
    lines = "\n".join([*map(line_of, findings), *summary_of(report)])
    assert f"$ netra check --data-dir copy\n{lines}\n```" in PAGE
    for field in (*Report.__struct_fields__, *Finding.__struct_fields__):
        assert f"`{field}`" in PAGE or field == "whole"


def test_every_code_of_an_end_is_explained() -> None:
    assert list(RUN_ERRORS) == list(RunError)
    rows = [f"| `{code.value}` | {meaning} |" for code, meaning in RUN_ERRORS.items()]
    assert "\n".join(rows) in PAGE


def test_every_option_of_netra_serve_is_listed() -> None:
    """The table has the options that `netra serve --help` shows, in its order."""
    command = get_command(NETRA)
    shown_ones = [
        option.opts[0]
        for option in command.params
        if option.param_type_name == "option" and not getattr(option, "hidden", False)
    ]
    section = PAGE.split("## Options of netra serve")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(--[a-z-]+)` \|", section, re.MULTILINE) == shown_ones
    assert {option.opts[0]: option.default for option in command.params}["--workers"] == 1


@pytest.mark.parametrize(("arguments", "host", "port"), [([], 0, 1), (["--agentcore"], 2, 3)])
def test_the_defaults_of_host_and_port_are_those_that_the_table_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], host: int, port: int
) -> None:
    places: list[server.Place] = []
    monkeypatch.setattr(
        server, "run", lambda _settings, _specs, place, **_rest: places.append(place)
    )
    monkeypatch.setattr(serve, "start_log", lambda _settings: None)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(NETRA, arguments).exit_code == 0

    (listed_host,) = re.findall(r"^\| `--host` \| `(.*?)` .*With `--agentcore` `(.*?)`", PAGE, re.M)
    (listed_port,) = re.findall(r"^\| `--port` \| `(.*?)` .*With `--agentcore` `(.*?)`", PAGE, re.M)
    listed = (listed_host[0], listed_port[0], listed_host[1], listed_port[1])
    assert (places[0].host, str(places[0].port)) == (listed[host], listed[port])


def test_lists_in_variables_are_what_the_page_says_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The lines for a shell and those for `netra.toml` set the same."""
    (lines,) = re.findall(r"```sh\n(export NETRA_ADMINS.*?)```", PAGE, re.S)
    (toml,) = re.findall(r"```toml\n(admins = .*?)```", PAGE, re.S)
    (tmp_path / "netra.toml").write_text(toml, encoding="utf-8")
    read = load_settings(tmp_path / "netra.toml")
    for line in lines.splitlines():
        name, _, value = shlex.split(line)[1].partition("=")
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path.parent)
    told = load_settings()

    assert told.admins == read.admins == ("alice", "bob")
    assert told.allowed_origins == read.allowed_origins
    assert told.allowed_hosts == read.allowed_hosts == ("chat.example",)
    assert told.jwt_jwks == read.jwt_jwks
    assert told.agents["support"].run_timeout == 60


def test_what_a_connection_costs_is_what_was_measured() -> None:
    results = (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")
    measured = results.split("## idle_memory")[1].split("\n## ")[0]
    day = re.search(r"^(\d{4}-\d\d-\d\d)", measured, re.M)
    costs = re.findall(r"(?:ready frame|on uvicorn) +([\d.]+ kB)", measured)
    text = " ".join(PAGE.split("## Connections, and what they cost")[1].split())[:1_000]
    assert day is not None
    assert day[1] in text
    assert len(costs) == 2
    assert all(cost in text for cost in costs)
