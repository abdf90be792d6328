# ruff: noqa: E501
"""A headline made ready for patterns: amounts of money read and masked, names cut out of the text around a verb.

In: one line of plain English. Out: a `Headline`, whose `masked` text has the length of the original, so that a place
in one is the same place in the other: lower case, straight apostrophes and dashes, every amount a run of `¤`.
`labels_events` looks for what happened; nothing here knows about events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MONEY = "¤"  # what an amount is masked with

_PLAIN = str.maketrans(
    {chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}
    | {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-", "\xa0": " ", MONEY: " "}
)

# "$" is the US dollar: outlets that mean another one mostly say which, and which one an outlet means it does not say.
_SYMBOLS = {
    "us$": "USD", "a$": "AUD", "au$": "AUD", "c$": "CAD", "ca$": "CAD", "nz$": "NZD", "hk$": "HKD", "s$": "SGD", "nt$": "TWD",
    "r$": "BRL", "mx$": "MXN", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW", "₦": "NGN",
    "rs.": "INR", "rs": "INR", "rm": "MYR", "n": "NGN", "usd": "USD", "eur": "EUR", "gbp": "GBP", "chf": "CHF", "sek": "SEK",
    "nok": "NOK", "dkk": "DKK", "jpy": "JPY", "inr": "INR", "cny": "CNY", "rmb": "CNY", "aud": "AUD", "cad": "CAD",
    "sgd": "SGD", "hkd": "HKD", "krw": "KRW", "brl": "BRL", "zar": "ZAR", "aed": "AED", "sar": "SAR",
}  # fmt: skip
_UNITS = {
    "dollars": "USD", "dollar": "USD", "euros": "EUR", "euro": "EUR", "pounds": "GBP", "yen": "JPY", "yuan": "CNY",
    "rupees": "INR", "won": "KRW", "naira": "NGN", "reais": "BRL", "rand": "ZAR", "ringgit": "MYR", "rubles": "RUB",
    "roubles": "RUB", "dirhams": "AED", "riyals": "SAR", "kronor": "SEK", "kroner": "NOK", "usd": "USD", "eur": "EUR",
    "gbp": "GBP", "chf": "CHF", "inr": "INR", "aud": "AUD", "cad": "CAD", "sgd": "SGD", "hkd": "HKD", "sek": "SEK",
}  # fmt: skip
_TIMES = {
    "k": 1e3, "thousand": 1e3, "lakh": 1e5, "m": 1e6, "mn": 1e6, "mln": 1e6, "mil": 1e6, "million": 1e6, "cr": 1e7,
    "crore": 1e7, "b": 1e9, "bn": 1e9, "bln": 1e9, "billion": 1e9, "lakh crore": 1e12, "t": 1e12, "tn": 1e12,
    "trln": 1e12, "trillion": 1e12,
}  # fmt: skip


def _any_of(words: dict[str, str] | dict[str, float]) -> str:
    return "|".join(re.escape(word).replace(r"\ ", " ") for word in sorted(words, key=lambda word: -len(word)))


_NUMBER = r"\d{1,3}(?:,\d{2,3})+(?:\.\d+)?|\d{1,12}(?:\.\d{1,4})?"
_AMOUNT = re.compile(
    rf"(?<![\w$€£¥₹.])(?:(?P<symbol>{_any_of(_SYMBOLS)}) ?(?P<number>{_NUMBER})(?:[ -]?(?P<times>{_any_of(_TIMES)})(?![a-z]))?"
    rf"(?P<plus>\+|-plus)?"
    rf"|(?P<number2>{_NUMBER})[ -]?(?:(?P<times2>{_any_of(_TIMES)})[ -])?(?:us |u\.s\. )?(?P<unit>{_any_of(_UNITS)})(?![a-z]))"
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


# ---------------------------------------------------------------- names

MAX_NAME = 5  # words; what is longer is a sentence in title case
_BREAK = re.compile(r"[:;|?!\"“”]|,(?!\d)| [-–—]+ |—|\.{3}|…|\. ")
_WORD = re.compile(r"\S+")
_JOINS = frozenset("& and of de du la le van von der + x at".split())
_LITTLE = frozenset(
    (
        "a an the its it his her their our has have had is are was were be been to will just now also again finally "
        "officially successfully reportedly formally quietly today has by for from in into on with as after amid over "
        "but or than that who which this these those more new us u.s. uk eu all some most how why what when where if "
        "up out about around nearly almost another"
    ).split()
)
# What a company is called before its name: the name begins after the last of them.
_KINDS = frozenset(
    (
        "startup start-up scaleup unicorn company firm group maker makers giant bank lender insurer insurtech fintech "
        "retailer operator developer provider producer supplier platform app brand conglomerate carmaker automaker "
        "drugmaker chipmaker planemaker miner airline owner parent rival studio publisher broadcaster builder startup's "
        "exchange chain manufacturer specialist leader business subsidiary unit arm backed-startup biotech proptech "
        "edtech healthtech medtech agritech spacetech major titan behemoth powerhouse network marketplace service "
        "services investor tycoon billionaire founder contractor outfit player multinational supermarket brewer "
        "distiller telco utility refiner driller steelmaker shipbuilder bookmaker hedge-fund fund exclusive breaking "
        "live update watch video"
    ).split()
)
_ORIGINS = frozenset(
    (
        "american british english scottish welsh irish french german dutch belgian swiss austrian italian spanish "
        "portuguese swedish danish norwegian finnish polish czech greek turkish russian ukrainian israeli saudi emirati "
        "qatari egyptian nigerian kenyan indian pakistani chinese japanese korean taiwanese singaporean malaysian "
        "indonesian thai vietnamese philippine australian canadian mexican brazilian argentine chilean colombian "
        "european asian african nordic global us uk u.s. u.k. us-based uk-based"
    ).split()
)


def name_before(headline: Headline, place: int) -> str | None:
    """The name that ends just before `place`, where a verb begins: "Alta Ares" of "startup Alta Ares raises".

    None where the words there are no name, or too many to be one.
    """
    start = 0
    breaks = list(_BREAK.finditer(headline.text, 0, place))
    if breaks:
        last = breaks[-1]
        start = last.end()
        if not headline.text[start:place].strip():  # "Acme, a shop for tools, raises"
            return _first_name(headline.text[: breaks[0].start()])
    words = [match[0] for match in _WORD.finditer(headline.text, start, place)]
    while words and words[-1].lower() in _LITTLE:
        words.pop()
    found: list[str] = []
    for word in reversed(words):
        if not _is_name(word) and not (word in _JOINS and found):
            break
        found.insert(0, word)
    return _trimmed(found)


def name_after(headline: Headline, place: int) -> str | None:
    """The name that begins at `place`, past articles and what kind of company it is: "Nuvalent" of "US cancer firm
    Nuvalent for". None where there is none before the sentence goes on."""
    ending = _BREAK.search(headline.text, place)
    text = headline.text[place : ending.start() if ending else len(headline.text)]
    found: list[str] = []
    passed = 0
    for word in text.split():
        lower = word.lower()
        if (_is_name(word) and lower not in _LITTLE) or (
            found and lower in ("&", "of", "and", "de") and len(found) < MAX_NAME
        ):
            found.append(word)
        elif (found and found[-1].lower() in _ORIGINS | _KINDS | {"ai"}) or (found and lower in _KINDS):
            found = []  # so far it was told where from, or what kind
            passed += 1
        elif found or lower in _ENDS or passed > 6:
            break
        else:
            passed += 1
    return _trimmed(found)


_ENDS = frozenset("for in from by to at after as amid over with on via and".split())


def _first_name(text: str) -> str | None:
    found: list[str] = []
    for word in text.split():
        if not _is_name(word):
            break
        found.append(word)
    return _trimmed(found)


def _is_name(word: str) -> bool:
    bare = word.strip("'\"“”‘’(),")
    return any(character.isupper() for character in bare) or (bare.isdigit() and len(bare) < 4)


def _trimmed(words: list[str]) -> str | None:
    """The words from where the name itself begins, None where nothing or too much is left."""
    for number in range(len(words) - 1, -1, -1):
        bare = words[number].strip("'\"“”‘’(),").replace("’", "'")
        if bare.endswith(("'s", "s'")) or bare.lower() in _KINDS or (bare.lower().endswith("-based")):
            if number + 1 < len(words):
                words = words[number + 1 :]
                break
            if bare.endswith("'s"):
                words = [*words[:number], bare[:-2]]
    while words and (words[0].lower() in _JOINS | _LITTLE or (len(words) > 1 and words[0].lower() in _ORIGINS)):
        words = words[1:]
    while words and (words[-1].lower() in _JOINS | _LITTLE):
        words = words[:-1]
    name = " ".join(words).strip(" '\"“”‘’(),.-")
    for prefix in ("Exclusive-", "EXCLUSIVE-"):
        name = name.removeprefix(prefix)
    if not name or len(words) > MAX_NAME or not any(character.isalpha() for character in name):
        return None
    return None if name.lower() in _KINDS | _ORIGINS | _LITTLE else name
