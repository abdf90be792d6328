"""Names of firms in a headline: the one that ends where a verb begins, the one that begins behind it.

Capital letters decide, so that lines in title case need more care: what kind of company it is, and where from, is cut
off, and what is too long to be a name is none. Whether the name is a firm's at all says `event_names`.
"""

from __future__ import annotations

import re
from itertools import takewhile

from aggregator.stories.headline import MONEY, Headline

MAX_NAME = 5  # words; what is longer is a sentence in title case
_MOST_PASSED = 4  # words of description before a name: "the maker of small white"
_BREAK = re.compile(r"[:;|?!\"“”()]|,(?!\d)| [-–—]+ |—|\.{3}|…|\. ")
_MARKS = "'\"“”‘’(),."
_JOINS = frozenset("& and of de du la le van von der + x at".split())
_LITTLE = frozenset(
    (
        "a an the its it his her their our has have had is are was were be been to will just now also again finally "
        "officially successfully reportedly formally quietly today has by for from in into on with as after amid "
        "over but or than that who which this these those more new all some most how why what when "
        "where if up out about around nearly almost another plans agrees agreed aims prepares"
    ).split()
)
# What a company is called before its name: the name begins after the last of them.
_KINDS = frozenset(
    (
        "startup start-up scaleup unicorn company firm group maker makers giant bank lender insurer insurtech "
        "fintech retailer operator developer provider producer supplier platform app brand conglomerate carmaker "
        "automaker drugmaker chipmaker planemaker miner airline owner parent rival studio publisher broadcaster "
        "builder startup's exchange chain manufacturer specialist leader business subsidiary unit arm "
        "backed-startup biotech proptech edtech healthtech medtech agritech spacetech major titan behemoth "
        "powerhouse network marketplace service services investor tycoon billionaire founder contractor outfit "
        "player multinational supermarket brewer distiller telco utility refiner driller steelmaker shipbuilder "
        "bookmaker hedge-fund fund exclusive breaking live update watch video"
    ).split()
)
_ORIGINS = frozenset(
    (
        "american british english scottish welsh irish french german dutch belgian swiss austrian italian spanish "
        "portuguese swedish danish norwegian finnish polish czech greek turkish russian ukrainian israeli saudi "
        "emirati qatari egyptian nigerian kenyan indian pakistani chinese japanese korean taiwanese singaporean "
        "malaysian indonesian thai vietnamese philippine australian canadian mexican brazilian argentine chilean "
        "colombian european asian african nordic global us uk u.s. u.k. us-based uk-based"
    ).split()
)
_NATIONS = frozenset("us uk u.s. u.k.".split())  # alone they are names
# What ends a phrase but no name: "Quillon Q4 profit", "Quillon shares".
_RESULTS = frozenset(
    (
        "q1 q2 q3 q4 h1 h2 profit profits revenue revenues sales earnings results income loss losses shares stock ipo "
        "stake forecast outlook guidance quarterly first-quarter second-quarter third-quarter fourth-quarter chairman "
        "ceo boss"
    ).split()
)
_ENDS = frozenset("for in from by to at after as amid over with on via and".split())


def name_before(headline: Headline, place: int) -> str | None:
    """The name that ends just before `place`, where a verb begins: "Alta Ares" of "startup Alta Ares raises".

    None where the words there are no name, or too many to be one.
    """
    text = headline.text[:place].rstrip()
    if text.endswith(")"):  # "Acme (YC S16) raises"
        text = text[: text.rfind("(")].rstrip() if "(" in text else text
    breaks = list(_BREAK.finditer(text))
    said = text[breaks[-1].end() :] if breaks else text
    if breaks and not said.strip():  # "Acme, a shop for tools, raises"
        words = text[: breaks[0].start()].split()
        return _trimmed(list(takewhile(_is_name, words)))
    words = said.split()
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
    end = ending.start() if ending else len(headline.text)
    # Without amounts, which begin with letters too: "N30 billion".
    text = "".join(
        " " if masked == MONEY else character
        for character, masked in zip(headline.text[place:end], headline.masked[place:end], strict=True)
    )
    found: list[str] = []
    passed = 0
    words = text.split()
    for number, word in enumerate(words):
        lower = word.lower()
        if (_is_name(word) and lower not in _LITTLE) or (
            found and lower in ("&", "of", "and", "de") and len(found) < MAX_NAME
        ):
            found.append(word)
        elif found and lower not in _ENDS and _describes(found[-1], words[number:]):
            found = []  # so far it was told what kind, or where from
            passed += 1
        elif found or lower in _ENDS or passed >= _MOST_PASSED:
            break
        else:
            passed += 1
    return _trimmed(found)


def _describes(last: str, ahead: list[str]) -> bool:
    """Whether what was read so far only says what kind of company comes: "AI" before "coding startup Cursor"."""
    if last.lower() in _KINDS | _ORIGINS or ahead[0].lower() in _KINDS:
        return True
    plain = list(takewhile(lambda word: not _is_name(word), ahead[:_MOST_PASSED]))
    return plain[-1].lower() in _KINDS and len(plain) < len(ahead)


def _is_name(word: str) -> bool:
    bare = word.strip(_MARKS)
    return any(character.isupper() for character in bare) or (bare.isdigit() and len(bare) < 4)


def _trimmed(words: list[str]) -> str | None:
    """The words from where the name itself begins to where it ends, None where nothing or too much is left."""
    while words and words[-1].strip(_MARKS).lower() in _JOINS | _LITTLE | _RESULTS:
        words = words[:-1]
    words = _without_kind(words)
    while words and words[0].lower() in _JOINS | _LITTLE:
        words = words[1:]
    name = " ".join(words).strip(f" {_MARKS}-")
    for prefix in ("Exclusive-", "EXCLUSIVE-"):
        name = name.removeprefix(prefix)
    if not name or len(words) > MAX_NAME or not any(character.isalpha() for character in name):
        return None
    return None if name.lower() in _KINDS | _LITTLE | (_ORIGINS - _NATIONS) else name


def _is_kind(word: str) -> bool:
    return word in _KINDS or word.endswith(("-based", "-backed"))


def _without_kind(words: list[str]) -> list[str]:
    """What stands behind the last word that says what kind of company, whose, or based where."""
    for number in range(len(words) - 1, -1, -1):
        bare = words[number].strip(_MARKS).replace("’", "'")
        is_owner = bare.endswith(("'s", "s'"))
        if is_owner and number + 1 == len(words):  # "Quillon's profit"
            words = [*words[:number], bare.removesuffix("'s").removesuffix("'")]
        elif is_owner or (number + 1 < len(words) and _is_kind(bare.lower())):
            return words[number + 1 :]
    return words
