"""Hostile logs: what becomes of the hostile corpus of the tests in each library."""

from collections import Counter
from collections.abc import Iterator

from bench.loggers import LOGGERS, DumpsInTheCall, installed
from bench.table import Row
from bench.workbench import Workbench
from tests.jsonlog.ordeal import Fault, Verdict, run

TITLE = "hostile logs: of the cases of the corpus, how many went wrong, and in which way"
HANGS = 3.0
"""CPU seconds after which a case hangs: making the largest value takes half of one."""


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer with counts of cases; one may be counted under several ways.

    Each case is logged by a process of its library's own into a real file, and judged by what
    stands there then. Cases that need a logger of the standard library are not asked of those
    that have none. What happened to the first of each is shown.
    """
    for name, cls in installed({**LOGGERS, "json.dumps in the call": DumpsInTheCall}):
        verdicts = list(run(f"{cls.__module__}:{cls.__name__}", bench.directory, HANGS))
        counts = Counter(fault for verdict in verdicts for fault in verdict.faults)
        told = " · ".join(f"{fault.value} {counts[fault]}" for fault in Fault)
        wrong = sum(bool(verdict.faults) for verdict in verdicts)
        yield Row(name, f"{wrong:,} of {len(verdicts):,}", told)
        yield from _examples(verdicts)


def _examples(verdicts: list[Verdict]) -> Iterator[Row]:
    """Yield the first case of each fault."""
    for fault in Fault:
        for verdict in verdicts:
            if fault in verdict.faults:
                yield Row(f"    {fault.value}, as: {verdict.case.name!a}", "")
                break
