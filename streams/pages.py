"""The pages that mails and chats link to, as paths of the site; the pages themselves are in `api/pages`."""

from typing import Final
from uuid import UUID

__all__ = ["WEBHOOKS", "board_page", "reports_page", "task_page", "webhooks_page"]

WEBHOOKS: Final = "/dashboard/webhooks"


def board_page(team_id: UUID) -> str:
    """The board of a team."""
    return f"/#/{team_id}"


def task_page(team_id: UUID, task_id: UUID) -> str:
    """A task's card, open over its board."""
    return f"{board_page(team_id)}/{task_id}"


def reports_page(team_id: UUID) -> str:
    """The reports of a team, open over its board."""
    return f"{board_page(team_id)}/reports"


def webhooks_page(team_id: UUID, webhook_id: str = "") -> str:
    """The webhooks of a team, or one of them with its deliveries."""
    return f"{WEBHOOKS}#/{team_id}{f'/{webhook_id}' if webhook_id else ''}"
