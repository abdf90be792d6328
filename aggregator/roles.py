"""What one process does of the whole: the roles of `bmn run --role`. Which process really edits, the lock decides."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """One process may do everything; on PostgreSQL several share the work, each kind as often as wanted."""

    ALL = "all"
    POLL = "poll"
    EDIT = "edit"
    WEB = "web"

    @property
    def polls(self) -> bool:
        """Asks origins and stores what they say."""
        return self in (Role.ALL, Role.POLL)

    @property
    def edits(self) -> bool:
        """Groups, files and prunes while it holds the editor's lock, and waits for it otherwise."""
        return self in (Role.ALL, Role.EDIT)

    @property
    def serves(self) -> bool:
        """Prints the documents and answers readers."""
        return self in (Role.ALL, Role.WEB)
