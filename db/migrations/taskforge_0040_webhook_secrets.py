"""Every secret of a webhook that was replaced within the last day."""

from pathlib import Path
from typing import Any

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine.finder import engine_finder

ID = "taskforge_0040_webhook_secrets"
VERSION = "1.38.0"
DESCRIPTION = "Every secret of a webhook that was replaced within the last day."


def script(direction: str) -> str:
    """The SQL of "up" or "down", many statements in one text."""
    return Path(__file__).with_suffix(f".{direction}.sql").read_text()


async def _run(direction: str) -> None:
    # Over the transaction's own connection: Piccolo prepares its statements, which allows only one at a time.
    engine = engine_finder()
    assert engine is not None
    transaction: Any = engine.current_transaction.get()
    await transaction.connection.execute(script(direction))


async def forwards() -> MigrationManager:
    """For Piccolo's command line; `db.migrate` runs the same scripts."""
    manager = MigrationManager(migration_id=ID, app_name="taskforge", description=DESCRIPTION)

    async def up() -> None:
        await _run("up")

    async def down() -> None:
        await _run("down")

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
