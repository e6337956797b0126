"""Pages: an answer ends with the item that makes it full."""

import pytest

from netra_backend.core.pages import READ_BYTES, bounded, check_page, is_full

HALF = "x" * (READ_BYTES // 2)


def test_what_has_room_comes_whole() -> None:
    assert bounded([], len) == []
    assert bounded([HALF, "", "a"], len) == [HALF, "", "a"]
    assert not is_full([HALF, "", "a"], len)


def test_it_ends_with_the_item_that_makes_it_full() -> None:
    """So one item comes however large it is, and who asks for the next page gets on."""
    assert bounded([HALF, HALF, "a"], len) == [HALF, HALF]
    assert bounded([2 * HALF, "a"], len) == [2 * HALF]
    assert is_full([HALF, HALF], len)


def test_what_cannot_be_of_a_page_is_named() -> None:
    check_page(0, after=0)
    with pytest.raises(ValueError, match=r"^`limit` is -1, "):
        check_page(-1, after=-1)
    with pytest.raises(ValueError, match=r"^`after` is -2, "):
        check_page(0, after=-2)
