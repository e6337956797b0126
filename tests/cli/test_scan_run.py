"""One scan: what is found, judged by the options and the comments."""

import sys
from pathlib import Path

import pytest

from netra_backend.cli import scan_run
from netra_backend.errors import ConfigError
from netra_backend.scan.lines import split_lines
from tests.cli.scanning import UNUSED, make_scan, places, run, write

STATES = "from enum import Enum\nclass State(Enum):\n    A = 1\n"
SINK = "import json\nfrom states import State\njson.dumps({'s': State.A})\n"


def test_findings_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    write(tmp_path, {"b.py": SINK, "states.py": STATES, "a.py": UNUSED + SINK})
    outcome = run(tmp_path)
    assert places(outcome, tmp_path) == [
        ("a.py", 1, "JS100"),
        ("a.py", 4, "JS001"),
        ("b.py", 3, "JS001"),
    ]
    assert not outcome.failed


def test_workers_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"states.py": STATES, **{f"m{at:02}.py": SINK for at in range(30)}})
    many = run(tmp_path, "--jobs", 2)
    monkeypatch.setattr(scan_run, "FEW", 1_000)
    assert run(tmp_path) == many
    assert len(many.findings) == 30


def test_what_a_file_imports_is_looked_at_but_not_reported(tmp_path: Path) -> None:
    states = STATES + "import json\njson.dumps(State.A)\n"
    write(tmp_path, {"pyproject.toml": "", "states.py": states, "a.py": SINK})
    assert places(run(tmp_path / "a.py"), tmp_path) == [("a.py", 3, "JS001")]
    assert len(run(tmp_path).findings) == 2


def test_imports_are_followed_from_module_to_module(tmp_path: Path) -> None:
    model = (
        "from dataclasses import dataclass\nfrom shop.state import State\n"
        "@dataclass\nclass Order:\n    state: State\n"
    )
    use = "import json\nfrom shop.model import Order\ndef f(o: Order):\n    json.dumps(o.state)\n"
    write(tmp_path, {"pyproject.toml": "", "src/shop/__init__.py": "", "src/shop/use.py": use})
    write(tmp_path, {"src/shop/model.py": model, "src/shop/state.py": STATES})
    found = run(tmp_path / "src" / "shop" / "use.py")
    assert places(found, tmp_path) == [("src/shop/use.py", 4, "JS001")]


def test_a_package_in_a_folder_that_is_none_is_known_by_both_names(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "shop/core/__init__.py": "from .state import State\n"})
    write(tmp_path, {"shop/core/state.py": STATES})
    for name, module in (("a", "shop.core"), ("b", "core"), ("c", "shop.core.state")):
        write(tmp_path, {f"{name}.py": SINK.replace("states", module)})
    assert places(run(tmp_path), tmp_path) == [(f"{name}.py", 3, "JS001") for name in "abc"]


def test_options_name_functions_as_they_are_imported(tmp_path: Path) -> None:
    wire = "def send(x): ...\ndef plain(x): return x\n"
    use = "from shop.core.wire import plain, send\nsend({1})\nsend(plain({1}))\n"
    named = 'sinks = ["shop.core.wire.send"]\nsafe = ["shop.core.wire.plain"]\n'
    options = f"[tool.netra.scan]\n{named}"
    write(tmp_path, {"pyproject.toml": options, "shop/core/__init__.py": "", "a.py": use})
    write(tmp_path, {"shop/core/wire.py": wire})
    assert places(run(tmp_path), tmp_path) == [("a.py", 2, "JS008")]


def test_who_named_an_environment_that_is_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "[tool.netra.scan]\npython = 'env'\n", "a.py": ""})
    with pytest.raises(ConfigError, match=r"python in \[tool.netra.scan\]: .*env: there is no"):
        run(tmp_path)
    with pytest.raises(ConfigError, match="--python nope: there is no"):
        run(tmp_path, "--python", "nope")


def test_the_environment_is_looked_at_where_it_is_given(tmp_path: Path) -> None:
    packages = "env/lib/python3.12/site-packages"
    use = "import json\nfrom theirs.kinds import Kind\njson.dumps(Kind.X)\n"
    theirs = STATES.replace("State", "Kind").replace("A", "X")
    write(tmp_path, {"pyproject.toml": "", "app/a.py": use, f"{packages}/theirs/kinds.py": theirs})
    write(tmp_path, {f"{packages}/theirs/__init__.py": ""})
    assert run(tmp_path / "app").findings == ()
    found = run(tmp_path / "app", "--python", tmp_path / "env")
    assert places(found, tmp_path) == [("app/a.py", 3, "JS001")]
    write(tmp_path, {"pyproject.toml": '[tool.netra.scan]\npython = "env"\n'})
    assert len(run(tmp_path / "app").findings) == 1


KNOWN = """\
import json
from datetime import date

import attrs
from pydantic import BaseModel
from starlette.websockets import WebSocket


class Model(BaseModel):
    on: date


@attrs.define
class Record:
    on: date


def write(socket: WebSocket) -> None:
    json.dumps(Model(on=date.today()).model_dump())
    json.dumps(attrs.asdict(Record(date.today())))
    json.dumps(socket.client_state)
"""
LARGE = """\
import json
import numpy as np
from sqlalchemy import create_engine, text

with create_engine("sqlite://").connect() as connection:
    json.dumps(connection.execute(text("select 1")).all())
json.dumps(np.arange(3).reshape(3, 1))
"""
"""What uses libraries that take seconds to read."""


@pytest.mark.parametrize(
    ("source", "rules"),
    [
        (KNOWN, ["JS017", "JS003", "JS001"]),
        pytest.param(LARGE, ["JS014", "JS015"], marks=pytest.mark.nightly),
    ],
    ids=["small", "large"],
)
def test_what_is_known_of_libraries_is_known_too_where_they_are_installed(
    tmp_path: Path, source: str, rules: list[str]
) -> None:
    write(tmp_path, {"a.py": source})
    known = places(run(tmp_path), tmp_path)
    assert [rule for *_, rule in known] == rules
    assert places(run(tmp_path, "--python", sys.prefix), tmp_path) == known


def test_options_and_comments_decide_what_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"states.py": STATES, "a.py": SINK, "tests/b.py": UNUSED})
    assert len(run(tmp_path).findings) == 2
    assert places(run(tmp_path, "--ignore", "JS1"), tmp_path) == [("a.py", 3, "JS001")]
    assert places(run(tmp_path, "--select", "JS001"), tmp_path) == [("a.py", 3, "JS001")]
    table = '[tool.netra.scan.per-file-ignores]\n"tests/" = ["ALL"]\n'
    write(tmp_path, {"pyproject.toml": table})
    assert places(run(tmp_path), tmp_path) == [("a.py", 3, "JS001")]
    silenced = SINK.replace("A})", "A})  # netra: ignore[JS001]")
    write(tmp_path, {"a.py": silenced})
    assert run(tmp_path).findings == ()


def test_a_comment_on_a_note_is_used_also_where_notes_are_not_told(tmp_path: Path) -> None:
    note = "import logging\nfrom states import State\nlogging.info(f'{State.A}')"
    write(tmp_path, {"states.py": STATES, "a.py": f"{note}\n"})
    assert len(run(tmp_path, "--notes").findings) == 1
    assert run(tmp_path, "--no-notes").findings == ()
    write(tmp_path, {"a.py": f"{note}  # netra: ignore\n"})
    assert run(tmp_path, "--no-notes").findings == ()


def test_broken_files_cost_themselves(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "x = (\n", "b.py": UNUSED, "c.py": "\0"})
    (tmp_path / "d.py").write_bytes(b"\xff")
    outcome = run(tmp_path)
    assert places(outcome, tmp_path) == [("b.py", 1, "JS100")]
    assert [Path(it.path).name for it in outcome.skipped] == ["a.py", "c.py", "d.py"]
    assert not outcome.failed


def test_standard_input_stands_for_its_file(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "states.py": STATES, "a.py": ""})
    source = SINK.encode()
    outcome = run("-", "--stdin-filename", tmp_path / "a.py", stdin=source)
    assert places(outcome, tmp_path) == [("a.py", 3, "JS001")]


def test_lines_are_those_that_were_scanned(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED})
    scan = make_scan(tmp_path)
    outcome = scan.run()
    read = scan.reader(outcome.files)
    assert read(outcome.findings[0].path) == split_lines(UNUSED)
    assert read("<starlette.websockets>") == ()
    assert make_scan("-", stdin=b"x\n").reader({})("nowhere.py") == ()


def test_a_name_that_is_no_text_is_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.py").write_text(UNUSED)
    (tmp_path / "a\nb.py").write_text(UNUSED)
    outcome = run(tmp_path)
    assert [Path(it.path).name for it in outcome.findings] == ["a\nb.py", "caf\\xe9.py"]


def test_no_files_is_worth_a_remark(tmp_path: Path) -> None:
    assert run(tmp_path).notes == (f"no Python files in {tmp_path}",)


def test_no_cache_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED})
    run(tmp_path)
    assert [it.name for it in tmp_path.iterdir()] == ["a.py"]
