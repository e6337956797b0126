"""Procedures: every method of a store can be called, and its errors come back as they are."""

import pytest
from msgspec import Raw

from netra_backend.core.ports import Store
from netra_backend.core.run import IllegalMove
from netra_backend.errors import ErrorCode, LeaseLost, Refused, StoreFailed
from netra_backend.stores.line import Call
from netra_backend.stores.procedures import NOT_CALLED, PROCEDURES, error_of, raised
from tests.stores.workers import Workers, as_store


def test_every_method_of_a_store_can_be_called() -> None:
    public = {name for name in dir(Store) if not name.startswith("_")}
    assert set(PROCEDURES) == public - NOT_CALLED


@pytest.mark.parametrize(
    "error",
    [
        Refused(ErrorCode.THREAD_BUSY, "why"),
        LeaseLost("whose"),
        StoreFailed("which file"),
        ValueError("what"),
        IllegalMove("where"),
    ],
    ids=repr,
)
def test_an_error_comes_back_as_what_it_is(error: Exception) -> None:
    back = error_of(raised(7, error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    if isinstance(error, Refused):
        assert isinstance(back, Refused)
        assert back.code is error.code


def test_an_error_that_nobody_expects_is_a_failure_of_the_store_that_names_it() -> None:
    back = error_of(raised(7, ZeroDivisionError("how")))
    assert isinstance(back, StoreFailed)
    assert str(back) == "ZeroDivisionError: how"


@pytest.mark.anyio
async def test_a_call_of_nothing_is_answered() -> None:
    workers = Workers()
    one = await workers.worker()
    with pytest.raises(StoreFailed, match="drop_everything"):
        await one._ask(lambda number, until: Call(number, until, "drop_everything", Raw(b"\x90")))
    with pytest.raises(ValueError, match="missing"):
        await one.read()
    with pytest.raises(ValueError, match="surrogates"):
        await one.spend("\ud800", 1, 1)
    await as_store(one).probe()
    await one.close()
