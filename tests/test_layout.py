"""The layout: imports go down only, importing costs little, and tests mirror the source."""

import re
import subprocess
import sys
from pathlib import Path

from tests.table import each_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "netra_backend"
LONGEST = 400
"""Lines that a module may have: CONTRIBUTING.md."""

UNMIRRORED = {
    "agents/__init__.py": "a docstring",
    "agents/adapters/__init__.py": "a docstring",
    "agents/adapters/agno.py": "tests/contract/test_adapters.py",
    "agents/creation.py": "tests/agents/test_runner.py, through the runner",
    "agents/endings.py": "tests/agents/test_runner.py and test_turns.py, through the runner",
    "agents/speech.py": "tests/agents/test_execution.py, through the execution",
    "core/__init__.py": "a docstring",
    "core/credentials.py": "contracts: tests/stores proves them for every store",
    "core/nodes.py": "contracts: tests/stores/test_keeper.py and test_seats.py prove them",
    "core/ports.py": "contracts: tests/stores proves them for every store",
    "core/queue.py": "contracts: tests/stores proves them for every store",
    "jsonlog/forms.py": "tests/jsonlog/test_safe.py, through jsonable",
    "jsonlog/walk.py": "tests/jsonlog/test_safe.py, through jsonable",
    "jsonlog/plain.py": "types and limits, which tests/jsonlog/test_safe.py meets",
    "cli/arguments.py": "tests/cli/test_tail.py, test_replay.py and test_token.py",
    "cli/__main__.py": "a call, which tests/cli/test_scan.py makes",
    "scan/__init__.py": "a docstring",
    "scan/report/__init__.py": "a docstring",
    "scan/skipped.py": "a struct",
    "server/__init__.py": "a docstring",
    "server/deadlines.py": "tests/server/test_http_protocol.py, by clients that are late",
    "server/dialects.py": "tests/server/edges/test_tanstack.py, by the handshakes",
    "server/dialogue.py": "tests/server/test_connection.py and tests/server/edges",
    "server/bearer.py": "tests/server/test_auth.py, by the ways to sign in",
    "server/clock.py": "the time of day, which every test of the server passes on",
    "server/descriptor.py": "tests/server/test_direct_lane.py",
    "server/edges/__init__.py": "a docstring",
    "server/edges/edge_lane.py": "tests/server/edges/test_tanstack.py, and the other sockets there",
    "server/endpoints.py": "tests/server/test_openapi.py, with every operation",
    "server/house.py": "a struct",
    "server/page_turns.py": "tests/faults/test_unread.py, by clients that do not read",
    "server/run_history.py": "tests/server/test_sse.py and tests/server/edges",
    "server/listener.py": "a contract: tests/server/test_direct_lane.py",
    "stores/__init__.py": "a docstring",
    "stores/decisions.py": "both stores run it, under LogContract",
    "stores/sqlite_interrupts.py": "LogContract in tests/stores/test_sqlite.py, through the store",
    "stores/sqlite_ledger.py": "tests/stores/test_sqlite.py, through the store",
    "stores/sqlite_members.py": "LogContract in tests/stores/test_sqlite.py, through the store",
    "stores/sqlite_queue.py": "tests/stores/test_sqlite.py, through the store",
    "stores/sqlite_queries.py": "tests/stores/test_sqlite.py, through the store",
    "stores/sqlite_readers.py": "tests/stores/test_sqlite.py, through the store",
    "stores/sqlite_credentials.py": "LogContract in tests/stores/test_sqlite.py, through the store",
    "stores/sqlite_erasure.py": "tests/stores/test_sqlite_tail.py, on the bytes of the files",
    "testing/backlog_contract.py": "a part of LogContract",
    "testing/interrupts_contract.py": "a part of LogContract",
    "testing/members_contract.py": "a part of LogContract",
    "testing/queue_contract.py": "a part of LogContract",
    "testing/revocations_contract.py": "a part of LogContract",
    "testing/runs_contract.py": "a part of LogContract",
    "testing/threads_contract.py": "a part of LogContract",
    "testing/tickets_contract.py": "a part of LogContract",
    "testing/scenario.py": "what the parts of LogContract share",
}
"""Modules without a test file of their own, and where they are tested instead."""

UNMIRRORED |= {
    f"scan/{name}.py": "the cases of docs/rules and tests/scan/test_truth.py, through the engine"
    for name in (
        "altering",
        "annotations",
        "arithmetic",
        "attributes",
        "binding",
        "calling",
        "changing",
        "classes",
        "containers",
        "conversion",
        "declarations",
        "decorated",
        "decorating",
        "definitions",
        "dumping",
        "environment",
        "expressions",
        "fields",
        "frame",
        "futures",
        "grounding",
        "heads",
        "imports",
        "inheritance",
        "invocation",
        "items",
        "judge",
        "kinds",
        "library",
        "linking",
        "logcalls",
        "matching",
        "modules",
        "narrowing",
        "problem",
        "project",
        "querying",
        "resolve",
        "rule",
        "signatures",
        "sinking",
        "sinks",
        "sources",
        "statements",
        "storing",
        "summary",
        "targets",
        "telling",
        "verdict",
    )
}
UNMIRRORED |= {
    path.relative_to(SOURCE).as_posix(): "its page in docs/rules, which tests/docs executes"
    for path in (SOURCE / "scan" / "rules").glob("*.py")
}
UNMIRRORED |= {
    f"scan/stubs/{name}.py": "tests/scan/stubs/test_stubs.py"
    for name in ("__init__", "aio", "binary", "data", "stdlib", "web")
}

PUBLIC = {
    "__init__.py": "tests/docs/test_reference.py",
    "cli/__init__.py": "tests/cli/test_app.py",
    "jsonlog/__init__.py": "tests/docs/test_reference.py",
    "testing/__init__.py": "tests/docs/test_reference.py",
}


def modules() -> list[str]:
    return sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@each_of(modules())
def test_every_module_has_its_test(module: str) -> None:
    path = Path(module)
    mirror = ROOT / "tests" / path.parent / f"test_{path.name}"
    if module in PUBLIC:
        mirror = ROOT / PUBLIC[module]
    if module in UNMIRRORED:
        assert not mirror.exists(), f"{module} has a test now: take it off the list"
    else:
        assert mirror.is_file(), f"there is no {mirror.relative_to(ROOT)}"


def test_the_exceptions_exist() -> None:
    assert set(UNMIRRORED) | set(PUBLIC) <= set(modules())


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after `statement`."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_server() -> None:
    loaded = loaded_by("import netra_backend")
    assert not {name for name in loaded if name.startswith("netra_backend.")}
    assert not loaded & {"starlette", "uvicorn", "websockets", "pydantic", "ag_ui", "sqlite3"}


def test_jsonlog_can_be_used_alone() -> None:
    loaded = loaded_by("import netra_backend.jsonlog")
    ours = {name for name in loaded if name.startswith("netra_backend.")}
    assert all(name.startswith("netra_backend.jsonlog") for name in ours), ours
    assert not loaded & {"starlette", "uvicorn", "websockets", "pydantic", "ag_ui", "msgspec"}


def test_the_plug_in_for_pytest_loads_nothing_but_itself() -> None:
    loaded = loaded_by("import netra_backend.testing.strict_logs")
    ours = {name for name in loaded if name.startswith("netra_backend.")}
    assert ours == {"netra_backend.testing", "netra_backend.testing.strict_logs"}


def test_a_module_is_read_in_one_sitting() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in SOURCE.rglob("*.py")}
    assert {path: count for path, count in lines.items() if count > LONGEST} == {}


def test_every_log_of_ours_is_one_that_cannot_raise() -> None:
    """The standard logger passes on what a handler of the application raises."""
    apart = ("jsonlog", "scan", "testing")
    modules = [
        path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in apart
    ]
    texts = {path: path.read_text(encoding="utf-8") for path in modules}
    assert [path for path, text in texts.items() if "log = logging.getLogger(" in text] == []
    assert len([path for path, text in texts.items() if "log = jsonlog.get_logger(" in text]) > 20


def test_the_import_contracts_hold_and_are_exhaustive(tmp_path: Path) -> None:
    """A module at a place where no layer is named breaks the contract, so none can be forgotten."""
    linter = Path(sys.executable).with_name("lint-imports")
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    without_stores = config.replace('"agents | stores"', '"agents"')
    assert without_stores != config
    for text, code in ((config, 0), (without_stores, 1)):
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        done = subprocess.run(
            [str(linter), "--config", str(tmp_path / "pyproject.toml"), "--no-cache"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr


def test_the_night_tries_every_law() -> None:
    """A folder that `BY_NUMBER` does not name has its laws tried as briefly by night as by day."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (named,) = re.findall(r"^BY_NUMBER := \$\(addprefix tests/,(.*)\)$", makefile, re.M)
    places = [ROOT / "tests" / name for name in named.split()]
    assert all(place.exists() for place in places)
    laws = [
        file
        for file in (ROOT / "tests").rglob("test_*.py")
        if re.search(
            r"^\s*@given\(|\(RuleBasedStateMachine\)|^from tests\.night import",
            file.read_text(encoding="utf-8"),
            re.M,
        )
    ]
    assert len(laws) > 40
    assert [file for file in laws if not any(map(file.is_relative_to, places))] == []
