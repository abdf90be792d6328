"""A small invented newsroom for `bmn demo`: twenty outlets whose stories appear as the clock runs.

Everything is a pure function of the clock: `Newsroom(base_url, started).document(path, now)` is what the path answers
at `now`. `words` is the vocabulary (its text in `words.toml`), `events` what happens and who tells it when, `outlets`
the twenty and their habits, `formats` their feeds, `pictures` their pictures, `site` puts it all behind paths.
Nothing here listens: serving it is a neighbour's work.
"""

from __future__ import annotations

from aggregator.newsroom.site import Document, Newsroom

__all__ = ["Document", "Newsroom"]
