"""The terms: what every client is told is what the settings and the agents say."""

from pathlib import Path

from netra_backend.config import Settings, WhenBusy
from netra_backend.core.session import SessionLimits
from netra_backend.server.app import create_app
from netra_backend.server.house import House
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent


def house_of(tmp_path: Path, **settings: object) -> House:
    agents = {"one": ScriptedAgent(lambda: iter(())), "two": ScriptedAgent(lambda: iter(()))}
    given = Settings(data_dir=tmp_path, **settings)  # type: ignore[arg-type]
    return create_app(agents, settings=given, store=MemoryStore())._house


def test_each_setting_is_told_and_held_to(tmp_path: Path) -> None:
    terms = house_of(
        tmp_path,
        ping_seconds=7.5,
        frame_bytes=70_001,
        head_bytes=70_002,
        title_length=103,
        followed_threads=104,
        bad_frames=105,
        commands_per_second=106,
        command_burst=107,
        connections_per_user=108,
        runs_per_user=109,
    ).terms
    limits = terms.limits
    assert terms.heartbeat == 7_500
    assert (limits.frame_bytes, limits.head_bytes, limits.title_length) == (70_001, 70_002, 103)
    assert (limits.followed_threads, limits.connections_per_user) == (104, 108)
    assert (limits.commands_per_second, limits.command_burst) == (terms.rate, terms.burst)
    assert (terms.rate, terms.burst, limits.runs_per_user) == (106, 107, 109)
    assert terms.session == SessionLimits(followed_threads=104, bad_frames=105)
    assert terms.agents == ["one", "two"]
    assert terms.when_busy == dict.fromkeys(terms.agents, WhenBusy.REJECT.value)


def test_they_are_of_one_house(tmp_path: Path) -> None:
    one, other = house_of(tmp_path, command_burst=1), house_of(tmp_path, command_burst=2)
    assert one.terms is one.terms
    assert (one.terms.burst, other.terms.burst) == (1, 2)
