"""ADK in an environment of its own, because `google-adk` asks for an older `websockets`.

There run, as they are, the contract of adapters, the matrix and the page's example; and what
reads frames with the library, whose oldest version that is.
"""

import os
import re
import subprocess

import pytest

from tests.contract.adapters import ADAPTERS
from tests.contract.edges import EDGES
from tests.contract.own_environment import ROOT, python_with

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1_800)]

READERS = ("test_connection.py", "test_direct_lane.py", "test_intake.py", "test_lane.py")


def passed(*arguments: str) -> int:
    """Return how many tests pass there; fail with what pytest says if one does not."""
    command = [str(python_with("adk,remote,test")), "-m", "pytest", "-q", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8_000:]
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout[-8_000:]
    return int(re.findall(r"(\d+) passed", done.stdout)[-1])


def test_adk_keeps_the_contract_of_an_agent() -> None:
    assert passed("tests/contract/test_adapters.py", "-k", "adk") == 11
    assert passed("tests/agents/adapters/test_adk.py") >= 7


def test_the_example_of_its_page_runs() -> None:
    chosen = "example_of_each_framework and adk"
    assert passed("tests/docs/test_agents.py", "-m", "", "-k", chosen) == 1


def test_it_comes_out_of_every_edge() -> None:
    others = [adapter.name for adapter in ADAPTERS if adapter.name != "adk"]
    assert others
    assert passed("tests/contract/test_matrix.py", "-m", "nightly") == len(EDGES)


def test_frames_are_read_with_the_oldest_websockets() -> None:
    assert passed(*(f"tests/server/{name}" for name in READERS)) > 50
