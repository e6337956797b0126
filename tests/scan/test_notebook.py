"""Notes that are kept: recalled as they are, and kept with all that they depend on."""

from collections.abc import Collection, Sequence

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.finding import Finding
from netra_backend.scan.options import Options

STATE = "from enum import Enum\nclass State(Enum):\n    A = 1\n"
USE = (
    "import logging\nfrom state import State\nfrom absent import other\n"
    "logger = logging.getLogger(__name__)\n"
    'def f(x: State):\n    logger.info("%s %s", x, other())\n'
)


class Memory:
    """Keeps notes in a dict."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[Sequence[Finding], frozenset[str]]] = {}

    def recall(self, path: str) -> Sequence[Finding] | None:
        known = self.pages.get(path)
        return None if known is None else known[0]

    def keep(self, path: str, notes: Sequence[Finding], asked: Collection[str]) -> None:
        self.pages[path] = notes, frozenset(asked)


FILES = [summarise("state.py", "state", STATE), summarise("use.py", "use", USE)]


def test_notes_are_kept_with_the_modules_they_depend_on() -> None:
    memory = Memory()
    found = link(FILES, Options(notes=True), notebook=memory)
    assert [finding.rule for finding in found] == ["JS201"]
    notes, asked = memory.pages["use.py"]
    assert list(notes) == found
    assert {"state", "absent"} <= asked


def test_what_is_recalled_is_not_made_again() -> None:
    memory = Memory()
    memory.keep("use.py", (), ())
    assert link(FILES, Options(notes=True), notebook=memory) == []
    assert link(FILES, Options(notes=False), notebook=memory) == []
