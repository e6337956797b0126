"""docs/scan.md: its settings are all there are, its examples are read, its hook is ours."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from netra_backend.cli.scan_arguments import Format, parse_arguments
from netra_backend.scan.options import Encoder, LogEncoder, Options, parse_options
from netra_backend.scan.titles import TITLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scan.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_table_has_every_key_and_can_be_read() -> None:
    (text,) = blocks("toml")
    table = tomllib.loads(text)["tool"]["netra"]["scan"]
    parse_options(table, "docs/scan.md", TITLES)
    assert {key.replace("-", "_") for key in table} == set(Options.__struct_fields__)


def test_every_encoder_is_named() -> None:
    for member in (*Encoder, *LogEncoder):
        assert f"`{member.value}`" in PAGE


def test_its_commands_are_understood() -> None:
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    lines += re.findall(r"run: (netra scan .*)", PAGE)
    assert len(lines) >= 6
    for line in lines:
        assert line.startswith("netra scan ")
        parse_arguments(line.split()[2:])


def test_every_option_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    options = set(re.findall(r"(?<!\w)--[a-z][a-z-]+", capsys.readouterr().out))
    undescribed = {name for name in options if name not in PAGE}
    assert undescribed == {"--help", "--jobs"}
    assert all(form.value in PAGE for form in Format)


def test_the_first_example_is_what_it_prints(tmp_path: Path) -> None:
    code = (
        "import json\nimport logging\n\nfrom starlette.websockets import WebSocket\n\n"
        "logger = logging.getLogger(__name__)\n\n\ndef report(ws: WebSocket) -> None:\n"
        '    details = {"connection_state": ws.client_state}\n'
        '    logger.debug(f"details: {json.dumps(details)}")\n'
    )
    (tmp_path / "src" / "chat").mkdir(parents=True)
    (tmp_path / "src" / "chat" / "socket.py").write_text(code)
    (example,) = blocks("text")
    done = subprocess.run(
        [sys.executable, "-m", "netra_backend.cli", "scan", "src"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == example
