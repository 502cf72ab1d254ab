"""The paths of the API that events, feeds and mails name; `api/paths.py` has the others and serves all of them."""

from typing import Final

__all__ = ["TEAM", "TEAM_BOARD", "TEAM_EVENTS", "UNSUBSCRIBE"]

TEAM: Final = "/v1/teams/{team_id}"
"""The source of a team's events."""
TEAM_BOARD: Final = "/v1/teams/{team_id}/board"
"""The snapshot that a reader loads who cannot go on from where they were."""
TEAM_EVENTS: Final = "/v1/teams/{team_id}/events"
"""Where whoever has a snapshot goes on from its `seq`."""
UNSUBSCRIBE: Final = "/v1/mail/unsubscribe"
"""Where one click switches off the mails of one sort."""
