"""Sources as files: encodings, and what is no source."""

import os
import stat
import tokenize
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.cli.scan_source import MOST_BYTES, Unreadable, decode, read_bytes, write_source


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        ("x = 'é'\r\n".encode(), "x = 'é'\r\n"),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
        (b"\xef\xbb\xbf# coding: utf_8\n", "# coding: utf_8\n"),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "# -*- coding: latin-1 -*-\nx = 'é'\n"),
        (
            b"#!/x\n# vim: set fileencoding=cp1252 :\n'\x80'\n",
            "#!/x\n# vim: set fileencoding=cp1252 :\n'€'\n",
        ),
        (b"# coding: shift_jis\n'\x93\xfa'\n", "# coding: shift_jis\n'日'\n"),
    ],
)
def test_a_source_is_read_as_python_reads_it(data: bytes, text: str) -> None:
    source = decode(data)
    assert source.text == text
    assert source.encode(text) == data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x = '\xe9'\n", "line 1 is not utf-8"),
        (b"\n\n'\xff'", "line 3 is not utf-8"),
        (b"x = 1\0", "binary"),
        ("x = 1".encode("utf-16"), "UTF-16"),
        (b"# coding: klingon\n", "names the encoding 'klingon', which there is not"),
        (b"# coding: hex\n", "names the encoding 'hex', which there is not"),
        (b"# coding: undefined\n", "undefined"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "after a UTF-8 byte order mark"),
        (b"# coding: unicode_escape\n'\\ud800'", "halves of characters"),
    ],
)
def test_what_is_no_source_says_why_in_one_line(data: bytes, said: str) -> None:
    with pytest.raises(Unreadable, match=said) as caught:
        decode(data)
    assert "\n" not in str(caught.value)


LINES = st.lists(
    st.sampled_from(
        [
            b"# coding: latin-1",
            b"#coding=cp1252",
            b"",
            b"\x0c",
            b"x",
            b"#!",
            b"\xef\xbb\xbf",
            b"\xe9",
        ]
    ),
    max_size=4,
)


@settings(deadline=None)
@given(LINES, st.sampled_from([b"\n", b"\r\n"]))
def test_the_encoding_is_the_one_that_the_tokenizer_finds(lines: list[bytes], end: bytes) -> None:
    data = end.join(lines)
    try:
        expected = data.decode(tokenize.detect_encoding(BytesIO(data).readline)[0])
    except (SyntaxError, UnicodeDecodeError):
        with pytest.raises(Unreadable):
            decode(data)
    else:
        assert decode(data).text == expected


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "huge.py").touch()
    os.truncate(tmp_path / "huge.py", MOST_BYTES + 1)
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "broken.py").symlink_to("nowhere.py")
    os.mkfifo(tmp_path / "pipe.py")
    said = {
        "huge.py": "2.0 MB is too large; the limit is 2 MB",
        "loop.py": "Too many levels of symbolic links",
        "broken.py": "a link to a file that is not there",
        "pipe.py": "no regular file",
        ".": "Is a directory",
    }
    for name, why in said.items():
        with pytest.raises(Unreadable, match=why):
            read_bytes(os.fsencode(tmp_path / name))


def test_a_file_is_replaced_with_its_mode_and_through_its_link(tmp_path: Path) -> None:
    file, linked = tmp_path / "a.py", tmp_path / "link.py"
    file.write_bytes(b"old")
    file.chmod(0o750)
    linked.symlink_to(file)
    write_source(os.fsencode(linked), b"new")
    assert linked.is_symlink()
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o750
    assert sorted(it.name for it in tmp_path.iterdir()) == ["a.py", "link.py"]


def test_a_file_that_cannot_be_written_stays(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be written"):
        write_source(os.fsencode(tmp_path / "no" / "a.py"), b"new")


def test_a_text_that_the_encoding_does_not_know_is_refused() -> None:
    source = decode(b"# coding: latin-1\n")
    with pytest.raises(Unreadable, match="latin-1 has no '中'"):
        source.encode("中")
