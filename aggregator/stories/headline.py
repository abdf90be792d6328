"""A headline made ready for patterns: amounts of money read and masked.

In: one line of plain English. Out: a `Headline`, whose `masked` text has the length of the original, so that a place
in one is the same place in the other: lower case, straight apostrophes and dashes, every amount a run of `¤`.
`headline_names` finds names in it, `labels_events` looks for what happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MONEY = "¤"  # what an amount is masked with

_PLAIN = str.maketrans(
    {chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}
    | {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-", "\xa0": " ", MONEY: " "}
)


def _table(lines: str) -> dict[str, str]:
    """Word to code, from lines that begin with the code."""
    rows = (line.split() for line in lines.strip().splitlines())
    return {word: code for code, *words in rows for word in words}


# "$" is the US dollar: outlets that mean another one mostly say which, and which one an outlet means it does not say.
_SYMBOLS = _table(
    """
    USD $ us$ usd
    AUD a$ au$ aud
    CAD c$ ca$ cad
    NZD nz$
    HKD hk$ hkd
    SGD s$ sgd
    TWD nt$
    BRL r$ brl
    MXN mx$
    EUR € eur
    GBP £ gbp
    JPY ¥ jpy
    INR ₹ rs rs. inr
    KRW ₩ krw
    NGN ₦ n
    MYR rm
    CNY cny rmb
    CHF chf
    SEK sek
    NOK nok
    DKK dkk
    ZAR zar
    AED aed
    SAR sar
    """
)
_UNITS = _table(
    """
    USD dollars dollar dlrs dlr usd
    EUR euros euro eur
    GBP pounds stg gbp
    JPY yen
    CNY yuan
    INR rupees inr
    KRW won
    NGN naira
    BRL reais
    ZAR rand
    MYR ringgit
    RUB rubles roubles
    AED dirhams
    SAR riyals
    SEK kronor sek
    NOK kroner
    CHF chf
    AUD aud
    CAD cad
    SGD sgd
    HKD hkd
    """
)
_TIMES = {
    "k": 1e3, "thousand": 1e3, "lakh": 1e5, "m": 1e6, "mn": 1e6, "mln": 1e6, "mil": 1e6, "million": 1e6, "cr": 1e7,
    "crore": 1e7, "b": 1e9, "bn": 1e9, "bln": 1e9, "billion": 1e9, "lakh crore": 1e12, "t": 1e12, "tn": 1e12,
    "trln": 1e12, "trillion": 1e12,
}  # fmt: skip


def _any_of(words: Iterable[str]) -> str:
    """A group of these words, the longest first."""
    return "(?:" + "|".join(re.escape(word).replace(r"\ ", " ") for word in sorted(words, key=lambda w: -len(w))) + ")"


_NUMBER = r"(?:\d{1,3}(?:,\d{2,3})+(?:\.\d+)?|\d{1,12}(?:\.\d{1,4})?)"
_AMOUNT = re.compile(
    rf"(?<![\w$€£¥₹.])(?P<symbol>{_any_of(_SYMBOLS)}) ?(?P<number>{_NUMBER})"
    rf"(?:[ -]?(?P<times>{_any_of(_TIMES)})(?![a-z]))?(?:\+|-plus)?"
    rf"|(?<![\w$€£¥₹.])(?P<number2>{_NUMBER})[ -]?(?:(?P<times2>{_any_of(_TIMES)})[ -])?"
    rf"(?:us |u\.s\. )?(?P<unit>{_any_of(_UNITS)})(?![a-z])"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """So much money, named at `start`…`end` of the headline; `currency` as in ISO 4217."""

    value: float
    currency: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Headline:
    """The line as it is, and as patterns read it."""

    text: str
    masked: str
    amounts: tuple[Amount, ...] = ()

    def amount_in(self, start: int, end: int) -> Amount | None:
        """The first amount named there."""
        return next((amount for amount in self.amounts if amount.start >= start and amount.end <= end), None)


def headline_of(text: str) -> Headline:
    """The line with its amounts read."""
    plain = text.translate(_PLAIN)
    amounts = tuple(amounts_in(plain)) if any(character.isdigit() for character in plain) else ()
    for amount in amounts:
        plain = plain[: amount.start] + MONEY * (amount.end - amount.start) + plain[amount.end :]
    return Headline(text, plain, amounts)


def amounts_in(plain: str) -> Iterator[Amount]:
    """The amounts of money in a lower-case line, in its order."""
    for match in _AMOUNT.finditer(plain):
        number = (match["number"] or match["number2"]).replace(",", "")
        times = _TIMES[match["times"] or match["times2"]] if match["times"] or match["times2"] else 1.0
        if match["symbol"] == "n" and times < 1e6:  # "n95": nairas of a headline are millions
            continue
        currency = _SYMBOLS[match["symbol"]] if match["symbol"] else _UNITS[match["unit"]]
        yield Amount(round(float(number) * times, 2), currency, match.start(), match.end())
