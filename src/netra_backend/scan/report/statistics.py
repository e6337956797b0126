"""How many findings each rule has."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from netra_backend.scan.finding import Finding


def write(findings: Iterable[Finding], titles: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each rule that found something: the most frequent first."""
    known = list(findings)
    if not known:
        yield "Nothing found."
    counts = Counter(finding.rule for finding in known)
    fixable = Counter(finding.rule for finding in known if finding.fix is not None)
    width = len(str(max(counts.values(), default=0)))
    for rule, count in sorted(counts.items(), key=lambda it: (-it[1], it[0])):
        repair = f" ({fixable[rule]} fixable)" if fixable[rule] else ""
        yield f"{count:>{width}}  {rule}  {titles.get(rule, '')}{repair}".rstrip()
