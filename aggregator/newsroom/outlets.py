"""The twenty outlets: who they are, what they cover, which format they publish and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Format = Literal["rss20", "rss10", "atom", "json"]
# What the address in the configuration does: "ok" serves the feed, the rest is the trouble that feeds make in the wild.
Fate = Literal["ok", "moved", "missing", "challenge", "broken", "slow", "gone", "page"]


@dataclass(frozen=True, slots=True)
class Outlet:
    """One outlet. `covers` are the sections it reports on in its own words (named twice: about twice as often); `hint`
    is what the operator says of it in the configuration; `flaw` a habit of its documents."""

    key: str
    title: str
    covers: tuple[str, ...] = ()
    format: Format = "rss20"
    hint: str | None = None
    weight: float = 1.0
    fate: Fate = "ok"
    flaw: Literal["", "windows-1252", "unescaped", "gzip"] = ""
    full_text: bool = False
    pictures: bool = False
    author_shown: bool = True

    @property
    def feed_path(self) -> str:
        """Where the feed really is."""
        return f"/feeds/{self.key}.{'json' if self.format == 'json' else 'xml'}"

    @property
    def configured_path(self) -> str:
        """Where the configuration says it is."""
        return f"/feeds/{self.key}-old.xml" if self.fate == "moved" else self.feed_path


WIRE = "wire"  # tells everything first; others take its text over
MIRROR = "mirror"  # the wire's text under the wire's links, with tracking parameters
LINKS = "links"  # points at what others wrote, for discussion

OUTLETS = (
    Outlet("ledger", "The Daily Ledger", ("companies", "economics"), hint="companies", weight=1.5, full_text=True),
    Outlet(
        "circuit", "Circuit & Spoon", ("tech", "tech"), "atom", hint="tech", weight=1.2, full_text=True, pictures=True
    ),
    Outlet(
        "tideline", "Tideline Economics", ("economics", "economics", "economics"), "rss10", hint="economics", weight=1.2
    ),
    Outlet(
        "brandish",
        "Brandish",
        ("marketing", "marketing", "marketing"),
        "json",
        hint="marketing",
        weight=1.2,
        pictures=True,
    ),
    Outlet(WIRE, "Harbour Wire", weight=0.8, author_shown=False),
    Outlet("post", "Morrowby Evening Post", ("companies", "economics", "none"), flaw="windows-1252"),
    Outlet("gizmo", "Gizmonaut", ("tech", "tech"), hint="tech", pictures=True),
    Outlet("kettle", "Founders’ Kettle", ("companies", "tech", "marketing"), "atom", hint="companies", pictures=True),
    Outlet("grain", "Yield & Grain", ("economics", "companies"), hint="economics", flaw="gzip"),
    Outlet("shelf", "Shelf Talk", ("marketing", "companies"), hint="marketing", flaw="unescaped", author_shown=False),
    Outlet(MIRROR, "Newsmirror", weight=0.3, author_shown=False),
    Outlet(LINKS, "Frontbench Links", weight=0.2, author_shown=False),
    Outlet("gazette", "Lower Quince Gazette", ("none", "none", "companies"), pictures=True),
    Outlet("lantern", "The Lantern Review", ("tech", "marketing", "economics"), "atom", fate="moved"),
    Outlet("pressroom", "Pressroom Quarterly", fate="missing"),
    Outlet("vault", "The Vault", hint="economics", fate="challenge"),
    Outlet("sprocket", "Sprocket Weekly", hint="tech", fate="broken"),
    Outlet("snail", "Snail & Sons Bulletin", hint="companies", fate="slow"),
    Outlet("almanac", "Merchant’s Almanac", hint="marketing", fate="gone"),
    Outlet("front", "Tolland Spa Front Page", fate="page"),
)
BY_KEY = {outlet.key: outlet for outlet in OUTLETS}
