"""Standard output and error."""

import subprocess
import sys
from pathlib import Path

from tests.cli.scanning import UNUSED, write

NETRA = [sys.executable, "-m", "netra_backend.cli", "scan", "--no-cache"]


def test_a_reader_who_has_gone_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED * 1000})
    for form in ("text", "json", "github", "sarif"):
        process = subprocess.Popen(
            [*NETRA, "--format", form, "a.py"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.stderr.close()
        assert (process.wait(), said) == (1, b"")


def test_a_stream_that_knows_few_letters_gets_the_others_spelled_out(tmp_path: Path) -> None:
    write(tmp_path, {"é.py": UNUSED.replace("1", "'é'")})
    done = subprocess.run(
        [*NETRA, "."],
        cwd=tmp_path,
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(b"\\xe9.py:1:10: JS100")


def test_colours_where_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED})
    for environment, coloured in (({"FORCE_COLOR": "1"}, True), ({}, False)):
        done = subprocess.run(
            [*NETRA, "."], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert (b"\x1b[" in done.stdout) is coloured


def test_a_full_disk_is_an_error_and_a_closed_stream_is_none(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED})
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*NETRA, "."], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr == b"netra: standard output cannot be written: No space left on device\n"
    for closed in (">&-", ">&- 2>&-"):
        command = f'exec "$@" {closed}'
        done = subprocess.run(
            ["sh", "-c", command, "sh", *NETRA, "."], cwd=tmp_path, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (1, b"")
