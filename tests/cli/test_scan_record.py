"""What is learnt of one file."""

import os
import time
from pathlib import Path

import msgspec
import pytest

from netra_backend.cli.scan_cache import Cache
from netra_backend.cli.scan_record import (
    File,
    Record,
    TookTooLong,
    decode_record,
    encode_record,
    record_data,
    record_file,
    time_limit,
)

SOURCE = b"import json\njson.dumps(x)  # netra: ignore[JS001]\n"


def a_file(path: Path) -> File:
    return File("a.py", "a", os.fsencode(path))


def test_a_record_has_a_summary_and_the_comments(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(SOURCE)
    record = record_file(a_file(tmp_path / "a.py"), None)
    assert record.summary.path == "a.py"
    assert record.summary.skipped is None
    assert "json" in record.summary.imports
    assert [it.rules for it in record.ignores] == [("JS001",)]
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize("data", [b"", b"\0", b"x", SOURCE])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_record(data)


def test_a_notebook_is_not_taken_for_clean_python() -> None:
    record = record_data(File("a.ipynb", "a", b"a.ipynb"), b'{"cells": []}', None)
    assert record.summary.skipped is not None
    assert "notebook" in record.summary.skipped


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"x = (\n", "is not Python 3"),
        (b"\xff", "not utf-8"),
        (b"x\0", "binary"),
        (b"(" * 5_000 + b")" * 5_000, "nested"),
        (b"-" * 1_000_000 + b"1", "nested"),
        (b"x" + b".a" * 100_000, "nested"),
        (b"x = 1 if " + b"a else 1 if " * 50_000 + b"b else 2", "nested"),
    ],
)
def test_a_file_that_cannot_be_scanned_says_why(data: bytes, why: str) -> None:
    record = record_data(a_file(Path("a.py")), data, None)
    assert record.summary.skipped is not None
    assert why in record.summary.skipped
    assert "\n" not in record.summary.skipped
    assert not record.failed


def test_a_file_that_is_gone_is_skipped(tmp_path: Path) -> None:
    record = record_file(a_file(tmp_path / "a.py"), None)
    assert record.summary.skipped == "it is not there"


def test_the_cache_answers_for_the_same_content_only(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c"))
    file = a_file(tmp_path / "a.py")
    learnt = record_data(file, SOURCE, cache)
    entries = list((tmp_path / "c").glob("??/*"))
    assert len(entries) == 1
    assert record_data(file, SOURCE, cache) == learnt
    other = record_data(file, SOURCE + b"\n", cache)
    assert other.summary.skipped is None
    assert len(list((tmp_path / "c").glob("??/*"))) == 2


def test_an_entry_that_is_no_record_is_learnt_again(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c"))
    file = a_file(tmp_path / "a.py")
    learnt = record_data(file, SOURCE, cache)
    key = cache.key(file.path.encode(), file.module.encode(), SOURCE)
    for body in (b"", b"\xc1", msgspec.msgpack.encode({"summary": 3}), b"\x80"):
        cache.put(key, body)
        assert record_data(file, SOURCE, cache) == learnt


def test_a_skipped_file_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c"))
    record_data(a_file(tmp_path / "a.py"), b"x = (", cache)
    assert not list(tmp_path.glob("c/??/*"))


def test_time_is_bounded() -> None:
    with pytest.raises(TookTooLong), time_limit(0.05):
        spin()
    with time_limit(60):
        pass


def spin() -> None:
    while True:
        time.monotonic()


def test_all_fields_of_a_record_are_read_back() -> None:
    assert set(Record.__struct_fields__) == {"summary", "ignores", "failed", "key"}
