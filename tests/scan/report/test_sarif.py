"""Findings as SARIF 2.1.0."""

import json
from typing import Any

import jsonschema

from netra_backend.scan.finding import Edit, Origin, Severity
from netra_backend.scan.report.sarif import write
from netra_backend.scan.skipped import Skipped
from tests.scan.findings import finding

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
POSITIVE = {"type": "integer", "minimum": 1}
REGION = {
    "type": "object",
    "additionalProperties": False,
    "properties": dict.fromkeys(("startLine", "startColumn", "endLine", "endColumn"), POSITIVE),
}
FILE = {
    "type": "object",
    "required": ["uri"],
    "properties": {"uri": {"type": "string", "format": "uri-reference", "pattern": r"^\S+$"}},
}
LOCATION = {
    "type": "object",
    "required": ["physicalLocation"],
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "properties": {"artifactLocation": FILE, "region": REGION},
        },
        "message": TEXT,
    },
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
FIX = {
    "type": "object",
    "required": ["artifactChanges"],
    "properties": {
        "description": TEXT,
        "artifactChanges": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["artifactLocation", "replacements"],
                "properties": {
                    "artifactLocation": FILE,
                    "replacements": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["deletedRegion"],
                            "properties": {"deletedRegion": REGION, "insertedContent": TEXT},
                        },
                    },
                },
            },
        },
    },
}
RESULT = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": -1},
        "level": LEVEL,
        "message": TEXT,
        "locations": {"type": "array", "items": LOCATION},
        "relatedLocations": {"type": "array", "items": LOCATION},
        "fixes": {"type": "array", "items": FIX},
    },
}
INVOCATION = {
    "type": "object",
    "required": ["executionSuccessful"],
    "properties": {
        "executionSuccessful": {"type": "boolean"},
        "toolExecutionNotifications": {
            "type": "array",
            "items": {"type": "object", "required": ["message"], "properties": {"message": TEXT}},
        },
    },
}
DRIVER = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "version": {"type": "string"},
        "rules": {"type": "array", "items": {"type": "object", "required": ["id"]}},
    },
}
RUN = {
    "type": "object",
    "required": ["tool"],
    "properties": {
        "tool": {"type": "object", "required": ["driver"], "properties": {"driver": DRIVER}},
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "invocations": {"type": "array", "items": INVOCATION},
        "results": {"type": "array", "items": RESULT},
    },
}
LOG = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {"version": {"const": "2.1.0"}, "runs": {"type": "array", "items": RUN}},
}
"""The parts of the standard's schema (its appendix) that what we write has to keep."""


def told(*found: Any, skipped: Any = ()) -> Any:
    """Return the only run, of a log that keeps the schema."""
    log = json.loads(write(found, skipped, {"JS001": "plain enum", "JS002": "key"}, "1.2"))
    jsonschema.Draft7Validator(LOG, format_checker=jsonschema.FormatChecker()).validate(log)
    return log["runs"][0]


def test_the_schema_refuses_what_is_wrong() -> None:
    assert not jsonschema.Draft7Validator(LOG).is_valid({"version": "2.0.0", "runs": []})
    bad = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{}]}]}
    assert not jsonschema.Draft7Validator(LOG).is_valid(bad)


def test_a_finding_is_a_result_with_its_places_and_its_fix() -> None:
    one = finding(
        3,
        4,
        end_line=5,
        path="src/a b.py",
        origin=Origin("/x/é.py", 7),
        edits=(Edit(3, 0, 3, 1, ""),),
    )
    (result,) = told(one)["results"]
    assert result["ruleId"] == "JS001"
    assert result["level"] == "error"
    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "src/a%20b.py"},
                "region": {"startLine": 3, "startColumn": 5, "endLine": 5},
            }
        }
    ]
    (origin,) = result["relatedLocations"]
    assert origin["physicalLocation"] == {
        "artifactLocation": {"uri": "file:///x/%C3%A9.py"},
        "region": {"startLine": 7},
    }
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["deletedRegion"] == {
        "startLine": 3,
        "startColumn": 1,
        "endLine": 3,
        "endColumn": 2,
    }


def test_rules_are_described_and_referred_to() -> None:
    run = told(finding(rule="JS002", severity=Severity.NOTE), finding(rule="JS100"))
    rules = run["tool"]["driver"]["rules"]
    known, unknown = run["results"]
    assert rules[known["ruleIndex"]]["id"] == "JS002"
    assert known["level"] == "note"
    assert "ruleIndex" not in unknown


def test_skipped_files_are_notifications() -> None:
    run = told(skipped=[Skipped("a.py", "binary")])
    (said,) = run["invocations"][0]["toolExecutionNotifications"]
    assert said["message"]["text"] == "skipped: binary"
    assert run["results"] == []
