"""A story as data for machines that read pages: schema.org's NewsArticle, as JSON-LD puts it. Pure."""

from __future__ import annotations

from typing import Any

from aggregator.publish.item import Item, Outlet
from aggregator.publish.settings import SiteSettings
from aggregator.text import excerpt


def news_article(item: Item, site: SiteSettings) -> dict[str, Any]:
    """What a story's page says about the story; what is not known is left out.

    Author and publisher are those of the lead: the article is theirs, and the page is ours (`sdPublisher`).
    """
    lead = item.lead
    known = {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "@id": item.urn,
        "url": item.story_url,
        "mainEntityOfPage": item.story_url,
        "headline": item.title,
        "description": excerpt(item.text, 40),
        "datePublished": item.published.isoformat(timespec="seconds"),
        "dateModified": item.updated.isoformat(timespec="seconds"),
        "author": {"@type": "Person", "name": lead.byline} if lead.byline else _organization(lead),
        "publisher": _organization(lead),
        "isBasedOn": item.url if item.url != item.story_url else None,
        "citation": [outlet.url for outlet in item.also if outlet.url],
        "image": [item.image_url] if item.image_url else None,
        "articleSection": list(item.sections),
        "keywords": list(dict.fromkeys((*item.labels, *item.categories))),
        "inLanguage": item.language,
        "commentCount": item.comment_count,
        "discussionUrl": item.comments_url,
        "isPartOf": {"@type": "WebSite", "name": site.title, "url": f"{site.public_url}/"},
        "sdPublisher": {"@type": "Organization", "name": site.title, "url": f"{site.public_url}/"},
    }
    return {name: value for name, value in known.items() if value not in (None, "", [])}


def _organization(outlet: Outlet) -> dict[str, str]:
    named = {"@type": "Organization", "name": outlet.name}
    return named | ({"url": outlet.site_url} if outlet.site_url else {})
