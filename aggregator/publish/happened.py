"""What happened, in words that people read: an event as a line. Pure."""

from __future__ import annotations

from aggregator.types import Event

_NAMES = {"ipo": "IPO", "rates": "Rate decision"}


def name_of(label: str) -> str:
    """The label as a heading: "Funding", "IPO"."""
    return _NAMES.get(label, label.replace("-", " ").capitalize())


def line_of(event: Event) -> str:
    """ "Funding: Quillon, USD 12 million, Series A"; the label alone where the headline names nothing more."""
    who = event.company or ""
    if event.target:
        who = f"{who} buys {event.target}" if who else event.target
    parts = [who, money(event.amount, event.currency), event.round or "", f"{event.jobs:,} jobs" if event.jobs else ""]
    said = ", ".join(part for part in parts if part)
    return f"{name_of(event.label)}: {said}" if said else name_of(event.label)


def money(amount: float | None, currency: str | None) -> str:
    """ "USD 12 million", "EUR 1.98 billion", "GBP 50,000"; empty where there is none."""
    if amount is None or currency is None:
        return ""
    for least, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if amount >= least:
            return f"{currency} {amount / least:.4g} {name}"
    return f"{currency} {amount:,.0f}"
