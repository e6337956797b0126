"""docs/deployment.md: its set-ups are started by commands that exist, and stopped in time.

Its lines for proxies are run by tests/faults/test_proxies.py.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient
from typer import Typer
from typer.main import get_command

from netra_backend.agents.documentation import anchor_of
from netra_backend.cli import serve
from netra_backend.config import Settings
from netra_backend.server.app import create_app
from netra_backend.stores.memory import MemoryStore
from tests.server.agents import echo

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "deployment.md").read_text(encoding="utf-8")
NETRA = Typer(add_completion=False)
NETRA.command()(serve.serve)
PROBES = {"startup": "live", "liveness": "live", "readiness": "ready"}
REST = 5
"""Seconds that a stop may take beyond those that settings say."""


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def unit() -> dict[str, str]:
    return dict(line.split("=", 1) for line in block("ini").splitlines() if "=" in line)


def dockerfile() -> dict[str, str]:
    return dict(line.split(" ", 1) for line in block("dockerfile").splitlines())


def workload() -> dict[str, Any]:
    found, service = yaml.safe_load_all(block("yaml"))
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    spec: dict[str, Any] = found["spec"]
    return spec


def parsed(command: list[str]) -> dict[str, Any]:
    """Return the options of a ``netra serve``; raise if it would not take them."""
    assert [Path(command[0]).name, command[1]] == ["netra", "serve"]
    with get_command(NETRA).make_context("serve", command[2:]) as context:
        return dict(context.params)


def settings(variables: Mapping[str, str]) -> Settings:
    """Return the settings that the variables make, with a secret as they all have one."""
    given = {name.removeprefix("NETRA_").lower(): value for name, value in variables.items()}
    return Settings(**{**given, "jwt_secret": "s" * 32})  # type: ignore[arg-type]


def stops_within(made: Settings) -> float:
    """Return the seconds that the page wants a stop to be given: see `cli.deadline`."""
    return made.finish_seconds + made.grace_seconds + REST


def variables(line: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(line))


def test_a_stop_takes_as_long_as_the_page_says() -> None:
    assert f"`finish_seconds`, `grace_seconds` and {REST} seconds" in PAGE
    figures = r"(\d+) with\s+the defaults, (\d+) with `finish_seconds = 60`"
    ((usual, longer),) = re.findall(figures, PAGE)
    assert float(usual) == stops_within(settings({}))
    assert float(longer) == stops_within(settings({"finish_seconds": "60"}))


def test_the_unit_starts_a_server_and_lets_it_stop() -> None:
    told = settings(variables(unit()["Environment"]))
    options = parsed(shlex.split(unit()["ExecStart"]))
    assert options["agents"] == ["my_module:agent"]
    assert str(told.data_dir) == f"/var/lib/{unit()['StateDirectory']}"
    assert float(unit()["TimeoutStopSec"]) >= stops_within(told)
    assert int(unit()["LimitNOFILE"]) > told.connections


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip(
            "there is no systemd-analyze here: the unit of docs/deployment.md is NOT TESTED"
        )
    file = tmp_path / "netra.service"
    here = block("ini").replace("/opt/netra/bin/netra", str(Path(sys.executable).parent / "netra"))
    file.write_text(here.replace("User=netra", "User=root"), encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", file], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_container_starts_a_server_that_may_listen_there() -> None:
    options = parsed(json.loads(dockerfile()["CMD"]))
    told = settings(variables(dockerfile()["ENV"]))
    serve.check_address(told, options["host"])
    assert options["agents"] == ["my_module:agent"]
    assert str(told.data_dir) == dockerfile()["VOLUME"]
    assert dockerfile()["EXPOSE"] == "8000"
    assert f"--uid {dockerfile()['USER']} netra" in block("dockerfile")
    (seconds,) = re.findall(r"--stop-timeout (\d+) ", PAGE)
    assert float(seconds) >= stops_within(told)


def test_the_pod_is_asked_and_stopped_as_the_server_wants() -> None:
    pod = workload()["template"]["spec"]
    (container,) = pod["containers"]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    probes = [container[f"{name}Probe"]["httpGet"] for name in PROBES]
    assert probes == [{"path": f"/health/{asked}", "port": "http"} for asked in PROBES.values()]
    assert container["ports"] == [{"name": "http", "containerPort": int(dockerfile()["EXPOSE"])}]
    assert container["volumeMounts"][0]["mountPath"] == dockerfile()["VOLUME"]
    assert pod["securityContext"]["runAsUser"] == int(dockerfile()["USER"])
    assert pod["terminationGracePeriodSeconds"] >= stops_within(settings(given))
    assert workload()["replicas"] == 1


def test_probes_are_answered_without_a_token_whatever_host_they_name(tmp_path: Path) -> None:
    told = settings({"NETRA_AUTH": "jwt"})
    told = told.model_copy(update={"data_dir": tmp_path, "allowed_hosts": ("chat.example",)})
    app = create_app({"echo": echo}, settings=told, store=MemoryStore())
    with TestClient(app, base_url="http://10.0.0.7:8000") as client:
        paths = ("/health/live", "/health/ready", "/threads")
        assert [client.get(path).status_code for path in paths] == [200, 200, 403]


def test_the_page_is_listed_and_its_links_lead_somewhere() -> None:
    assert "(deployment.md)" in (DOCS / "index.md").read_text(encoding="utf-8")
    assert "(docs/deployment.md)" in (DOCS.parent / "README.md").read_text(encoding="utf-8")
    for path, anchor in re.findall(r"\]\((?!https?:)([\w./-]*)(?:#([\w-]+))?\)", PAGE):
        text = (DOCS / path).read_text(encoding="utf-8") if path else PAGE
        headings = [anchor_of(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
        assert not anchor or anchor in headings, (path, anchor)
