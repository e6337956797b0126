"""What the scan knows of the arguments of a command."""

import pytest

from netra_backend.scan.commandline import told
from netra_backend.scan.engine import link, summarise
from netra_backend.scan.options import Options
from netra_backend.scan.values import NONE, STR, UNKNOWN, Argument, Const, Global

PATH = Argument("type", Global("pathlib.Path"))
NAME = Argument("", Const("--out"))


def test_only_arguments_with_a_type_matter() -> None:
    assert told((NAME, PATH, Argument("help", STR))) == (NAME, PATH)
    assert told((NAME,)) == ()
    assert told((NAME, Argument("type", UNKNOWN))) == ()
    assert told((NAME, PATH, Argument("action", NONE))) == ()


def found(arguments: str, dumped: str) -> list[str]:
    """Return the paths of what is found when `dumped` is written."""
    source = f"""
import argparse, json
from pathlib import Path
from uuid import UUID


class Parser(argparse.ArgumentParser):
    pass


parser = {"Parser" if "sub" in dumped else "argparse.ArgumentParser"}()
parser.add_argument({arguments})
args = parser.parse_args()
rest = parser.parse_known_args()
json.dumps({dumped})
"""
    findings = link([summarise("a.py", "a", source)], Options())
    assert all(finding.severity.value == "warning" for finding in findings)
    return [finding.value_path for finding in findings]


@pytest.mark.parametrize(
    ("arguments", "dumped", "paths"),
    [
        ("'--out-dir', type=Path", "vars(args)", ["out_dir"]),
        ("'-o', '--out', type=Path, default='x'", "vars(args)", ["out"]),
        ("'--out', dest='where', type=Path", "{'w': args.where, 'o': args.out}", ["w"]),
        ("'file', type=UUID", "[args.file]", ["[0]"]),
        ("'file', type=Path, nargs='*'", "{'files': args.file}", ["files[]"]),
        ("'file', type=Path, nargs='?'", "{'file': args.file}", ["file"]),
        ("'--out', type=Path", "vars(rest[0])", ["out"]),
        ("'--out', type=Path", "args.__dict__", ["out"]),
        ("'--out', type=int", "vars(args)", []),
        ("'--out', type=str", "vars(args)", []),
        ("'--out', type=Path, action='append'", "vars(args)", []),
        ("'--out', type=Path", "{'other': args.other}", []),
        ("*names, type=Path", "vars(args)", []),
        ("'--out', type=lambda text: Path(text)", "vars(args)", ["out"]),
    ],
)
def test_what_the_namespace_holds(arguments: str, dumped: str, paths: list[str]) -> None:
    assert found(arguments, dumped) == paths


def test_a_parser_of_ones_own_counts_too() -> None:
    assert found("'--sub', type=Path", "{'sub': args.sub}") == ["sub"]
