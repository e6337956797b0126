"""The pages of the rules."""

import pytest

from netra_backend.cli.scan_explain import explain
from netra_backend.errors import ConfigError
from netra_backend.scan.titles import TITLES


@pytest.mark.parametrize("rule", sorted(TITLES))
def test_every_rule_has_a_page_that_names_it(rule: str) -> None:
    assert explain(rule, TITLES).startswith(f"# {rule}")
    assert explain(rule.lower(), TITLES) == explain(rule, TITLES)


def test_another_rule_has_none() -> None:
    with pytest.raises(ConfigError, match=r"there is no rule 'E501'; there are JS001, "):
        explain("E501", TITLES)
