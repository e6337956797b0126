"""Which time zones are asked."""

import datetime as dt
import zoneinfo

import pytest

from netra_backend.jsonlog import jsonable
from netra_backend.jsonlog.timezones import is_known
from tests.jsonlog import hostile_classes as of


class Own(dt.tzinfo):
    """A zone of the program, whose code is not run."""

    def utcoffset(self, _moment: dt.datetime | None) -> dt.timedelta:
        raise AssertionError("was called")


class OwnZone(zoneinfo.ZoneInfo):
    def utcoffset(self, _moment: dt.datetime | None) -> dt.timedelta:
        raise AssertionError("was called")


@pytest.mark.parametrize("zone", [None, dt.UTC, dt.timezone(dt.timedelta(hours=3))])
def test_those_of_python_are_asked(zone: dt.tzinfo | None) -> None:
    assert is_known(zone)
    moment = dt.datetime(2026, 7, 1, tzinfo=zone)
    assert jsonable(moment) == moment.isoformat()


def test_named_zones_are_asked() -> None:
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    assert is_known(zone)
    assert jsonable(dt.datetime(2026, 7, 1, tzinfo=zone)) == "2026-07-01T00:00:00+02:00"


def test_those_of_dateutil_are_asked() -> None:
    tz = pytest.importorskip("dateutil.tz", reason="LOUD: dateutil is not installed")
    zone = tz.gettz("Europe/Berlin") or tz.tzutc()
    assert is_known(tz.tzutc())
    assert is_known(zone)


@pytest.mark.parametrize("make", [Own, of.HostileZone, lambda: OwnZone("Europe/Berlin")])
def test_others_are_named(make: type[dt.tzinfo]) -> None:
    zone = make()
    assert not is_known(zone)
    shown = jsonable([dt.datetime(2026, 7, 1, tzinfo=zone), dt.time(1, 2, tzinfo=zone)])
    for one, text in zip(shown, ("2026-07-01T00:00:00", "01:02:00"), strict=True):  # type: ignore[arg-type]
        assert str(one).startswith(f"{text} <tzinfo ")
        assert str(one).endswith(" is not asked>")
