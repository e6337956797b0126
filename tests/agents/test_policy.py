"""Policies: an agent's own settings go before those for all."""

from pathlib import Path

import pytest

from netra_backend.agents.policy import policies
from netra_backend.config import AgentSettings, Settings, WhenBusy, load_settings
from netra_backend.errors import ConfigError

FILE = """
run_timeout = 60
when_busy = "enqueue"

[agents.quick]
run_timeout = 5
run_events = 10
concurrent_runs = 2
when_busy = "interrupt"
"""


def test_own_settings_go_before_those_for_all(tmp_path: Path) -> None:
    file = tmp_path / "netra.toml"
    file.write_text(FILE)
    found = policies(load_settings(file), ["quick", "other"])

    quick, other = found["quick"], found["other"]
    assert (quick.limits.timeout, quick.limits.events, quick.concurrent) == (5, 10, 2)
    assert quick.when_busy is WhenBusy.INTERRUPT
    assert (other.limits.timeout, other.limits.events, other.concurrent) == (60, 100_000, None)
    assert other.when_busy is WhenBusy.ENQUEUE


def test_settings_of_an_agent_that_is_not_there_are_an_error() -> None:
    settings = Settings(agents={"suport": AgentSettings(run_timeout=1)})

    with pytest.raises(ConfigError, match=r"agents\.suport: .* did you mean 'support'\?"):
        policies(settings, ["support"])


@pytest.mark.parametrize("line", ["run_timeout = 0", "speed = 1", 'when_busy = "wait"'])
def test_what_cannot_be_set_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "netra.toml"
    file.write_text(f"[agents.quick]\n{line}\n")

    with pytest.raises(ConfigError, match=rf"agents\.quick\.{line.split(maxsplit=1)[0]}"):
        load_settings(file)
