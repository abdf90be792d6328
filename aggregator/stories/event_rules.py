"""For every label of EVENTS what decides it. docs/heuristics-labels.md says how well."""

from __future__ import annotations

from aggregator.stories.event_deals import ACQUISITION, FUNDING, IPO
from aggregator.stories.event_firms import EARNINGS, LAUNCH, LAYOFFS
from aggregator.stories.event_shape import Label
from aggregator.stories.event_states import RATES, REGULATION

RULES: dict[str, Label] = {
    "funding": FUNDING,
    "acquisition": ACQUISITION,
    "ipo": IPO,
    "earnings": EARNINGS,
    "layoffs": LAYOFFS,
    "launch": LAUNCH,
    "regulation": REGULATION,
    "rates": RATES,
}
