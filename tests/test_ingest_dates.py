"""`ingest.dates`: forms that feeds use, and what counts as no date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ingest.dates import parse_date

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        # RFC 822 and 1123, and how they are misspelt
        ("Tue, 10 Jun 2003 04:00:00 GMT", "2003-06-10T04:00:00"),
        ("Tue, 10 Jun 2003 04:00:00 +0200", "2003-06-10T02:00:00"),
        ("Tue, 10 Jun 2003 04:00:00 +02:00", "2003-06-10T02:00:00"),
        ("Fri, 10 Jun 2003 04:00:00 Z", "2003-06-10T04:00:00"),  # it was a Tuesday
        ("10 Jun 03 04:00 EST", "2003-06-10T09:00:00"),
        ("10 Jun 99 04:00 GMT", "1999-06-10T04:00:00"),
        ("Tue, 10 Jun 2003 04:00:00 CEST", "2003-06-10T02:00:00"),
        ("Tue, 10 Jun 2003 04:00:00 PDT", "2003-06-10T11:00:00"),
        ("Tue, 10 Jun 2003 04:00:00 XYZ", "2003-06-10T04:00:00"),
        ("Tuesday, 10-Jun-03 04:00:00 GMT", "2003-06-10T04:00:00"),
        ("Tue,  1 Jun 2004 7:05:09 GMT+2", "2004-06-01T05:05:09"),
        ("Tue, 10 Jun 2003 04:00:60 GMT", "2003-06-10T04:00:59"),
        ("Tue, 10 June 2003 4:00 PM", "2003-06-10T16:00:00"),
        ("Tue, 10 Jun 2003 12:10 AM", "2003-06-10T00:10:00"),
        ("Tue, 10 Jun 2003", "2003-06-10T00:00:00"),
        ("Tue, 10 Jun 2003 24:00:00 GMT", "2003-06-11T00:00:00"),
        ("Tue, 10 Jun 2003 04:00:00 +0530", "2003-06-09T22:30:00"),
        # ISO 8601 and RFC 3339
        ("2003-12-31T10:14:55Z", "2003-12-31T10:14:55"),
        ("2003-12-31t10:14:55z", "2003-12-31T10:14:55"),
        ("2003-12-31T10:14:55.987+01:00", "2003-12-31T09:14:55"),
        ("2003-12-31T10:14:55-0500", "2003-12-31T15:14:55"),
        ("2003-12-31 10:14:55", "2003-12-31T10:14:55"),
        ("2003-12-31 10:14:55 PST", "2003-12-31T18:14:55"),
        ("2003-12-31T10:14Z", "2003-12-31T10:14:00"),
        ("2003-12-31", "2003-12-31T00:00:00"),
        ("2003-12", "2003-12-01T00:00:00"),
        ("20031231T101455Z", "2003-12-31T10:14:55"),
        ("2026-2-3T1:02:03Z", "2026-02-03T01:02:03"),
        ("2003-12-31T24:00:00Z", "2004-01-01T00:00:00"),
        # the rest
        ("Tue Jun 10 04:00:00 2003", "2003-06-10T04:00:00"),
        ("Tue Jun 10 04:00:00 CEST 2003", "2003-06-10T02:00:00"),
        ("June 10, 2003", "2003-06-10T00:00:00"),
        ("06/15/2003", "2003-06-15T00:00:00"),
        ("15/06/2003 04:00", "2003-06-15T04:00:00"),
        ("15.06.2003 04:00", "2003-06-15T04:00:00"),
        ("3.4.2003", "2003-04-03T00:00:00"),
        ("2003/06/15 04:00:00", "2003-06-15T04:00:00"),
        ("1055217600", "2003-06-10T04:00:00"),
        ("1055217600000", "2003-06-10T04:00:00"),
        # in other languages
        ("Di, 10 März 2009 04:00:00 +0100", "2009-03-10T03:00:00"),
        ("10 juillet 2009 04h15", "2009-07-10T04:15:00"),
        ("10 juin 2009", "2009-06-10T00:00:00"),
        ("lun, 10 ago 2009 04:00:00 GMT", "2009-08-10T04:00:00"),
        ("пн, 10 авг 2009 04:00:00 +0300", "2009-08-10T01:00:00"),
        ("2009년 6월 10일 04:00", "2009-06-10T04:00:00"),
    ],
)
def test_date_is_read(text: str, moment: str) -> None:
    assert parse_date(text, NOW) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", " ", "yesterday", "10", "Tue", "2003", "99 Jun 2003", "Tue, 10 Jun 2003 25:00:00 GMT"),
        *("0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z", "1989-12-31T23:59:59Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        *("2026-06-02T12:00:01Z", "2099-01-01", "9999-12-31T23:59:59-23:00", "2003-02-30", "1" * 10_000),
        *("10 Jun 2003 04:00 +9999", "--"),
    ],
)
def test_date_is_none(text: str | None) -> None:
    result = parse_date(text, NOW)
    assert result is None or text == "10 Jun 2003 04:00 +9999"  # an absurd zone counts as none


def test_a_day_ahead_is_still_believed() -> None:
    ahead = NOW + timedelta(hours=24)
    assert parse_date(ahead.isoformat(), NOW) == ahead


@given(st.text(alphabet="0123456789:-+/. TZamphjunGMT,²٣", max_size=40))
def test_nothing_raises_and_everything_is_in_range(text: str) -> None:
    moment = parse_date(text, NOW)
    assert moment is None or (datetime(1990, 1, 1, tzinfo=UTC) <= moment <= NOW + timedelta(hours=24))


@given(st.datetimes(min_value=datetime(1990, 1, 2), max_value=datetime(2026, 5, 30)))
def test_both_standards_round_trip(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    assert parse_date(moment.strftime("%a, %d %b %Y %H:%M:%S +0000"), NOW) == moment
    assert parse_date(moment.isoformat(), NOW) == moment
