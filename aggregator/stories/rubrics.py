"""Where publishers themselves filed an entry: rubrics named in the path of its address or in its category tags.

In: addresses and tags. Out: which of a few families of rubrics they name. What a family is worth as evidence is fitted
beside the words on 4,594 labelled entries of 22 outlets (docs/heuristics.md); rubrics of technology are left out, as
the words say as much. `evidence` turns it into odds. The names are those of English news sites.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "economy": frozenset("economy economic economics economies markets inflation jobs".split()),
        "business": frozenset(
            "business companies company industry industries corporate earnings deals startups startup finance money "
            "banking".split()
        ),
        "marketing": frozenset("marketing advertising branding brands adtech seo martech".split()),
        "elsewhere": frozenset(
            "sport sports football soccer cricket tennis rugby golf nfl nba olympics entertainment culture arts art "
            "film films movies music television books stage lifestyle fashion food recipes travel celebrity "
            "celebrities bollywood health politics elections election crime weather military defence obituaries "
            "religion education wellness royals".split()
        ),
    }
)
# Log odds over LABELS, rounded from the fit. No labelled outlet has rubrics of marketing: those are set like business.
WORTH: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "economy": (-0.1, 0.2, 0.5, -0.1, -0.5),
        "business": (-0.2, 0.8, 0.7, -0.4, -0.9),
        "marketing": (-0.2, 0.0, -0.4, 0.8, -0.9),
        "elsewhere": (-0.3, 0.0, -0.1, 0.0, 0.5),
    }
)
_JOINED = (("real-estate", "realestate"), ("life-style", "lifestyle"))
_WORD = re.compile(r"[a-z]+")
_LONGEST_FOLDER = 40  # longer ones are headlines written into the address


def rubrics(links: Iterable[str | None], tags: Iterable[str] = ()) -> dict[str, str]:
    """The families that addresses and tags name, each with the rubric that named it first."""
    found: dict[str, str] = {}
    for rubric in (*_folders(links), *tags):
        words = set(_WORD.findall(_whole(rubric.lower())))
        for family, names in NAMES.items():
            if words & names:
                found.setdefault(family, rubric)
    return found


def _folders(links: Iterable[str | None]) -> list[str]:
    """The folders of the addresses' paths. The last part names the page and no rubric."""
    folders = [folder for link in links if link for folder in _path(link).split("/")[:-1]]
    return [folder for folder in folders if 1 < len(folder) <= _LONGEST_FOLDER]


def _path(link: str) -> str:
    try:
        return urlsplit(link).path
    except ValueError:  # feeds carry addresses that are none
        return ""


def _whole(rubric: str) -> str:
    for apart, together in _JOINED:
        rubric = rubric.replace(apart, together)
    return rubric
