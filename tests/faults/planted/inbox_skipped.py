"""An effect is not recorded together with its event."""

from db import inbox
from db.transaction import Writing


async def record(tx: Writing, consumer: str, event_id: str) -> bool:
    return True


inbox.record = record
