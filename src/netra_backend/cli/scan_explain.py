"""The pages of the rules, as ``netra scan --explain`` prints them."""

from collections.abc import Collection

from netra_backend.agents.documentation import documentation_root
from netra_backend.errors import ConfigError


def explain(rule: str, rules: Collection[str]) -> str:
    """Return the page of the rule, Markdown. Raises ConfigError if there is no such rule."""
    code = rule.upper()
    if code not in rules:
        raise ConfigError(f"there is no rule {rule!r}; there are {', '.join(sorted(rules))}")
    page = documentation_root() / "rules" / f"{code}.md"
    try:
        return page.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the page {page} cannot be read: {error.strerror}") from error
