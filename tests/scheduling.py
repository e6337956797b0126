"""Which tests a worker of pytest-xdist runs together: a file, or all that share a set-up."""

from typing import Any

from xdist.scheduler import LoadFileScheduling

TOGETHER = (
    # one browser, one server with the puppet agent
    ("tests/e2e/page/",),
    # the frameworks, each of which takes a second or more to import
    ("tests/contract/test_adapters", "tests/contract/test_matrix", "tests/agents/adapters/"),
)
"""What all files share whose paths begin so."""


class ByFileOrSetUp(LoadFileScheduling):
    """Give a worker a file at a time, or all files that `TOGETHER` names in one line."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((paths[0] for paths in TOGETHER if file.startswith(paths)), file)


def scheduler(config: Any, log: Any) -> ByFileOrSetUp | None:
    """Return the scheduler for ``--dist loadfile``; other ways are as xdist has them."""
    return ByFileOrSetUp(config, log) if config.getvalue("dist") == "loadfile" else None
