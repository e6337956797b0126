"""What each rule is about, in a few words: for statistics, SARIF and the check of options."""

from collections.abc import Mapping

from netra_backend.scan.options import UNUSED_IGNORE
from netra_backend.scan.rules import RULES

TITLES: Mapping[str, str] = {
    **{code: rule.summary for code, rule in RULES.items()},
    UNUSED_IGNORE: "a comment ignores nothing",
}
"""By the codes of the rules."""
