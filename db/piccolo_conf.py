"""Only for Piccolo's command line.

`PICCOLO_CONF=db.piccolo_conf TASKFORGE_DATABASE__OWNER_URL=… piccolo migrations …`
"""

import os

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine


class LazyEngine(PostgresEngine):
    """Does not connect before it is asked to: importing this file works without a server."""

    async def check_version(self) -> None:
        """The server's version is checked by `db.pool`."""

    async def prep_database(self) -> None:
        """Extensions are made by migrations."""


DB = LazyEngine(config={"dsn": os.environ.get("TASKFORGE_DATABASE__OWNER_URL", "")})
APP_REGISTRY = AppRegistry(apps=["db.piccolo_app"])
