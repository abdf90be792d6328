"""Dates as feeds write them: RFC 822 and its misspellings, ISO 8601 and its subsets, and what else stands in the wild.

`parse_date` judges too: a date before 1990 or more than a day ahead of `now` is no date. Pure; nothing is cached.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # nothing was syndicated before; 1970 is a zero, 0001 an empty field
MAX_AHEAD = timedelta(hours=24)  # a story dated 2099 must not sit on top for ever; zones are got wrong by half a day
_MAX_LENGTH = 80  # characters; more is no date, and patterns stay cheap


def _table(pairs: str) -> dict[str, int]:
    words = pairs.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


# English, then how German, French, Spanish, Italian, Portuguese, Dutch, Polish and Russian months begin where they
# differ. Four letters are tried before three: juin and juillet share theirs.
_MONTHS = _table(
    "jan 1 feb 2 mar 3 apr 4 may 5 jun 6 jul 7 aug 8 sep 9 oct 10 nov 11 dec 12 "
    "jän 1 mär 3 mai 5 okt 10 dez 12 janv 1 févr 2 fév 2 fevr 2 mars 3 avr 4 juin 6 juil 7 aoû 8 aou 8 déc 12 "
    "ene 1 abr 4 ago 8 dic 12 gen 1 mag 5 giu 6 lug 7 set 9 ott 10 fev 2 out 10 mrt 3 maa 3 mei 5 "
    "sty 1 lut 2 kwi 4 maj 5 cze 6 lip 7 sie 8 wrz 9 paź 10 lis 11 gru 12 "
    "янв 1 фев 2 мар 3 апр 4 мая 5 май 5 июн 6 июл 7 авг 8 сен 9 окт 10 ноя 11 дек 12"
)
# Minutes east of Greenwich; where one name means two zones, the one that more feeds come from.
_ZONES = _table(
    "z 0 ut 0 utc 0 gmt 0 wet 0 west 60 bst 60 ist 330 cet 60 cest 120 met 60 mest 120 mez 60 mesz 120 eet 120 eest "
    "180 msk 180 sast 120 pkt 300 hkt 480 sgt 480 awst 480 jst 540 kst 540 acst 570 aest 600 aedt 660 nzst 720 nzdt "
    "780 nst -210 ast -240 adt -180 est -300 edt -240 et -300 cst -360 cdt -300 ct -360 mst -420 mdt -360 pst -480 "
    "pdt -420 pt -480 akst -540 akdt -480 hst -600 brt -180 art -180"
)

_RFC822 = re.compile(
    r"(?:[A-Za-z]{3},\s)?(\d{1,2})\s([A-Z][a-z]{2})\s(\d{4})\s(\d\d):(\d\d):(\d\d)\s(GMT|UTC|Z|[+-]\d{4})", re.ASCII
)
_TIME = re.compile(r"(\d{1,2})[:.h](\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([ap]\.?m\b\.?)?", re.IGNORECASE)
_OFFSET = re.compile(r"(?:GMT|UTC|UT)?\s*([+-])(\d{1,2}):?(\d{2})?\b(?!\d)", re.IGNORECASE)
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?(?!\d)")
_DAY_FIRST = re.compile(r"(?<!\d)(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?!\d)")
_KOREAN = re.compile(r"(\d{4})\s*[년年]\s*(\d{1,2})\s*[월月]\s*(\d{1,2})\s*[일日]")
_NUMBER = re.compile(r"(?<![\d:])\d{1,4}(?![\d:])")
_WORD = re.compile(r"[^\W\d_]+")
_EPOCH = re.compile(r"\d{9,13}")


def parse_date(text: str | None, now: datetime) -> datetime | None:
    """The moment `text` names, in UTC, or None where it names none between EARLIEST and `now` + MAX_AHEAD.

    In whole seconds. A wrong weekday does not matter; a zone missing or unknown counts as UTC, a missing time as
    midnight.
    """
    if not text or len(text) > _MAX_LENGTH:
        return None
    text = text.strip()
    try:
        moment = _read(text)
        if moment is None or not EARLIEST <= moment <= now + MAX_AHEAD:
            return None
        if moment.tzinfo is UTC and not moment.microsecond:
            return moment
        return moment.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None


def _read(text: str) -> datetime | None:
    if match := _RFC822.fullmatch(text):
        with suppress(ValueError):  # 24:00:00, which the slow way reads
            return _from_rfc822(match)
    if len(text) >= 8 and text[:4].isdigit():
        try:
            moment = datetime.fromisoformat(text)  # takes all of ISO 8601 but fractions of minutes and years alone
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        except ValueError:
            pass
    if _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(text) / (1000 if len(text) == 13 else 1), UTC)
    return _from_parts(text)


def _from_rfc822(match: re.Match[str]) -> datetime | None:
    day, name, year, hour, minute, second, zone = match.groups()
    month = _MONTHS.get(name.lower())
    if month is None:
        return None
    moment = datetime(int(year), month, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC)
    if zone[0] in "+-":
        offset = int(zone[1:3]) * 60 + int(zone[3:])
        moment -= timedelta(minutes=offset if zone[0] == "+" else -offset)
    return moment


def _from_parts(text: str) -> datetime | None:
    """A date put together from whatever parts can be recognised; None without day, month and year."""
    rest, clock, zone = _split_time(text)
    date = _date_of(rest)
    if date is None:
        return None
    hour, minute, second = clock
    midnight = datetime(*date, tzinfo=timezone(timedelta(minutes=zone)))
    return midnight + timedelta(hours=hour, minutes=minute, seconds=second)


def _split_time(text: str) -> tuple[str, tuple[int, int, int], int]:
    """The text without its time of day, the time (hour, minute, second), and the zone in minutes east of Greenwich."""
    # Behind the `T` of ISO dates stands a time even where what follows it is broken.
    text = re.sub(r"(?<=\d)[Tt](?=\d)", " ", text)
    match = next((m for m in _TIME.finditer(text) if ":" in m[0] or m[4] or "h" in m[0].lower()), None)
    if match is None:
        return text, (0, 0, 0), 0
    hour, minute, second = int(match[1]), int(match[2]), min(int(match[3] or 0), 59)
    if match[4]:
        hour = hour % 12 + (12 if match[4][0] in "pP" else 0)
    if hour > 24 or minute > 59:
        raise ValueError(text)
    after = text[match.end() :]
    zone = _zone_of(after)
    return text[: match.start()] + " " + _OFFSET.sub(" ", after), (hour, minute, second), zone


def _zone_of(text: str) -> int:
    if match := _OFFSET.search(text):
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        if minutes >= 24 * 60:
            return 0
        return minutes if match[1] == "+" else -minutes
    return next((_ZONES[word] for word in map(str.lower, _WORD.findall(text)) if word in _ZONES), 0)


def _date_of(text: str) -> tuple[int, int, int] | None:
    if match := _YEAR_FIRST.search(text) or _KOREAN.search(text):
        return int(match[1]), int(match[2]), int(match[3] or 1)
    if match := _DAY_FIRST.search(text):
        first, second, year = int(match[1]), int(match[3]), _full_year(match[4])
        american = second > 12 or (match[2] == "/" and first <= 12)  # 3/4/2024 is an American's; 3.4.2024 never
        return (year, first, second) if american else (year, second, first)
    month = next((m for m in map(_month_of, _WORD.findall(text)) if m), None)
    numbers = _NUMBER.findall(text)
    if month is None or len(numbers) < 2:
        return None
    year = next((number for number in numbers if len(number) == 4), numbers[1])
    numbers.remove(year)
    return _full_year(year), month, int(numbers[0])


def _month_of(word: str) -> int | None:
    word = word.lower()
    return _MONTHS.get(word[:4]) or _MONTHS.get(word[:3])


def _full_year(digits: str) -> int:
    year = int(digits)
    if len(digits) > 2:
        return year
    return year + (2000 if year < 70 else 1900)
