"""Findings as SARIF 2.1.0, which GitHub code scanning and most other platforms read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; section numbers below are its.
"""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

import msgspec

from netra_backend.scan.finding import Edit, Finding, Fix, Severity
from netra_backend.scan.skipped import Skipped

Json = dict[str, object]

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def write(
    findings: Sequence[Finding],
    skipped: Iterable[Skipped],
    titles: Mapping[str, str],
    version: str,
) -> str:
    """Return a log with one run of this scanner, as JSON without a line end."""
    rules = sorted(titles)
    run: Json = {
        "tool": {"driver": _driver(rules, titles, version)},
        "columnKind": "unicodeCodePoints",  # 3.14.17: how columns are counted
        "invocations": [_invocation(skipped)],
        "results": [_result(finding, rules) for finding in findings],
    }
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode()


def _driver(rules: Sequence[str], titles: Mapping[str, str], version: str) -> Json:
    return {
        "name": "netra scan",
        "version": version,
        "rules": [{"id": rule, "shortDescription": {"text": titles[rule]}} for rule in rules],
    }


def _invocation(skipped: Iterable[Skipped]) -> Json:
    return {
        "executionSuccessful": True,
        "toolExecutionNotifications": [
            {
                "level": "warning",
                "message": {"text": f"skipped: {file.reason}"},
                "locations": [{"physicalLocation": {"artifactLocation": _file(file.path)}}],
            }
            for file in skipped
        ],
    }


def _result(finding: Finding, rules: Sequence[str]) -> Json:
    result: Json = {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [_location(finding.path, _region(finding))],
        "properties": {"valuePath": finding.value_path},
    }
    if finding.rule in rules:
        result["ruleIndex"] = rules.index(finding.rule)
    if finding.origin is not None:
        origin = _location(finding.origin.path, {"startLine": finding.origin.line})
        origin["message"] = {"text": "The value comes from here."}
        result["relatedLocations"] = [origin]
    if finding.fix is not None:
        result["fixes"] = [_fix(finding.path, finding.fix)]
    return result


def _region(finding: Finding) -> Json:
    region: Json = {"startLine": finding.line, "startColumn": finding.column + 1}
    # Without an endColumn a region ends with its last line (3.30.8).
    if finding.end_line > finding.line:
        region["endLine"] = finding.end_line
    return region


def _location(path: str, region: Json) -> Json:
    return {"physicalLocation": {"artifactLocation": _file(path), "region": region}}


def _file(path: str) -> Json:
    """Return an artifactLocation (3.4): a relative reference, or a ``file:`` URI."""
    uri = quote(path.replace("\\", "/"), safe="/")
    return {"uri": f"file://{uri}" if uri.startswith("/") else uri}


def _fix(path: str, fix: Fix) -> Json:
    change = {"artifactLocation": _file(path), "replacements": [*map(_replacement, fix.edits)]}
    return {"description": {"text": fix.message}, "artifactChanges": [change]}


def _replacement(edit: Edit) -> Json:
    region = {
        "startLine": edit.line,
        "startColumn": edit.column + 1,
        "endLine": edit.end_line,
        "endColumn": edit.end_column + 1,
    }
    return {"deletedRegion": region, "insertedContent": {"text": edit.text}}
