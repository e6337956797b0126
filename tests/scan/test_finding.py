"""Severities have an order, and findings can be compared and kept."""

import msgspec

from netra_backend.scan.finding import Edit, Finding, Fix, Origin, Severity


def test_an_error_is_worse_than_a_warning_and_a_note() -> None:
    ranked = sorted(Severity, key=lambda severity: severity.rank)
    assert ranked == [Severity.NOTE, Severity.WARNING, Severity.ERROR]


def test_a_finding_survives_json() -> None:
    fix = Fix("Write the name", (Edit(1, 2, 1, 2, ".name"),))
    finding = Finding(
        "a.py", 1, 0, 1, "JS001", Severity.ERROR, "text", "a.b", Origin("b.py", 2), fix
    )
    assert msgspec.json.decode(msgspec.json.encode(finding), type=Finding) == finding
    assert hash(finding) == hash(msgspec.structs.replace(finding))
