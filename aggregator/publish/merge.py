"""Which stories a merged feed holds, and in which order. Pure: stories in, stories out."""

from __future__ import annotations

from collections.abc import Iterable

from aggregator.publish.settings import FeedSettings
from aggregator.types import SECTIONS, UNSURE, Story


def choose(stories: Iterable[Story], feed: FeedSettings) -> tuple[Story, ...]:
    """The newest `feed.items` stories that belong in the feed, newest first; none is cut for its age.

    Stories of the same second stand in the order of their refs, so that the same stories always make the same feed.
    """
    belonging = {story.story_id: story for story in stories if belongs(story, feed)}
    newest_first = sorted(belonging.values(), key=lambda story: story.place)
    return tuple(newest_first[: feed.items])


def belongs(story: Story, feed: FeedSettings) -> bool:
    """Whether the feed wants the story: one of its sections, enough sources. One that is withheld never, an unsure one
    only where the feed asks for UNSURE."""
    if feed.only_top and story.top_at is None:
        return False
    if story.withheld is not None or (feed.min_sources > 1 and len(story.sources) < feed.min_sources):
        return False
    kinds = sections_of(story) or ((UNSURE,) if story.sectioning.section is None else ())
    return any(kind in feed.sections for kind in kinds)


def sections_of(story: Story) -> tuple[str, ...]:
    """The story's section and, where it is nearly as likely, the second; empty while unsure or off topic."""
    verdict = story.sectioning
    if verdict.section not in SECTIONS:
        return ()
    if verdict.second in SECTIONS and verdict.second != verdict.section:
        return (verdict.section, verdict.second)
    return (verdict.section,)
