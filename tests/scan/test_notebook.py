"""Pages that are kept: recalled as they are, and kept with all that they depend on."""

from collections.abc import Collection, Sequence

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.finding import Finding
from netra_backend.scan.options import Options
from netra_backend.scan.project import file_fact, heirs_fact

STATE = "from enum import Enum\nclass State(Enum):\n    A = 1\n"
USE = (
    "import logging\nfrom state import State\nfrom absent import other\n"
    "logger = logging.getLogger(__name__)\n"
    'def f(x: State):\n    logger.info("%s %s", x, other())\n'
)


class Memory:
    """Keeps pages in a dict."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[Sequence[Finding], frozenset[str]]] = {}

    def recall(self, page: str) -> Sequence[Finding] | None:
        known = self.pages.get(page)
        return None if known is None else known[0]

    def keep(self, page: str, found: Sequence[Finding], facts: Collection[str]) -> None:
        self.pages[page] = found, frozenset(facts)


FILES = [summarise("state.py", "state", STATE), summarise("use.py", "use", USE)]


def test_notes_are_kept_with_the_facts_they_depend_on() -> None:
    memory = Memory()
    found = link(FILES, Options(notes=True), notebook=memory)
    assert [finding.rule for finding in found] == ["JS201"]
    notes, facts = memory.pages["notes use.py"]
    assert list(notes) == found
    assert {"state", "absent", file_fact("use.py")} <= facts


def test_what_is_recalled_is_not_made_again() -> None:
    memory = Memory()
    memory.keep("notes use.py", (), ())
    assert link(FILES, Options(notes=True), notebook=memory) == []
    assert link(FILES, Options(notes=False), notebook=memory) == []


BASE = (
    "import json\nclass Base:\n    state = 1\n"
    "    def save(self):\n        return json.dumps(self.state)\n"
)
HEIR = "from base import Base\nfrom state import State\nclass Heir(Base):\n    state = State.A\n"


def test_a_group_of_calls_is_kept_with_the_heirs_that_it_depends_on() -> None:
    memory = Memory()
    files = [*FILES, summarise("base.py", "base", BASE), summarise("heir.py", "heir", HEIR)]
    found = [it for it in link(files, Options(), notebook=memory) if it.path == "base.py"]
    assert [finding.rule for finding in found] == ["JS001"]
    page = next(facts for kept, facts in memory.pages.values() if list(kept) == found)
    assert {"state", heirs_fact("Base"), file_fact("base.py")} <= page


def test_calls_that_callers_have_a_say_in_are_always_judged() -> None:
    memory = Memory()
    wrapper = "import json\ndef send(value):\n    return json.dumps(value)\n"
    call = "from state import State\nfrom wrapper import send\nsend(State.A)\n"
    files = [*FILES, summarise("wrapper.py", "wrapper", wrapper)]
    options = Options(notes=False)
    assert link(files, options, notebook=memory) == []
    files.append(summarise("call.py", "call", call))
    assert [it.path for it in link(files, options, notebook=memory)] == ["call.py"]
