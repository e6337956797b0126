"""Which tests a worker of pytest-xdist runs together: a file, or all that share a set-up."""

from typing import Any

from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/e2e/page/",)
"""What all tests of a folder share: one browser, one server with the puppet agent."""


class ByFileOrSetUp(LoadFileScheduling):
    """Give a worker a file at a time, or all files below a folder of `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def scheduler(config: Any, log: Any) -> ByFileOrSetUp | None:
    """Return the scheduler for ``--dist loadfile``; other ways are as xdist has them."""
    return ByFileOrSetUp(config, log) if config.getvalue("dist") == "loadfile" else None
