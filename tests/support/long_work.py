"""A site with an object store, and a worker's hands: operations move when a test says so."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx

from core.secret import Secret
from db.keyset import Keyset
from db.object_store import ObjectStore
from db.operations import Operation
from db.signed import Signer
from streams.operations.bootstrap import BootstrapPorts, bootstrap
from streams.operations.export import ExportPorts, export
from streams.operations.notices import NoticeSender
from streams.operations.report import ReportPorts, report
from streams.operations.runner import OperationRunner
from tests.support.site import Person, Site
from tests.support.waiting import until_answered

LARGEST: int = 10 * 1024 * 1024
KEYS = (Secret("a secret of at least thirty-two bytes"),)
"""Those of `tests.support.site`."""


class Hands:
    """Moves the operations of a site, as a worker does."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        services = site.services
        assert services.objects is not None
        self.store: ObjectStore = services.objects
        self.heard: list[Operation] = []
        self._say = NoticeSender(services.valkey, Signer(Keyset(KEYS)))
        self.runner = self.runner_for(LARGEST)

    def runner_for(self, largest_bytes: int) -> OperationRunner:
        pools = self.site.services.pools
        exports, reports = ExportPorts(pools.api, self.store, largest_bytes), ReportPorts(pools.worker, self.store)
        bootstraps = BootstrapPorts(pools.worker, self.store)
        kinds = [export(exports), report(reports), bootstrap(bootstraps)]
        return OperationRunner(pools.worker, kinds, self._notify)

    async def _notify(self, operation: Operation) -> None:
        self.heard.append(operation)
        await self._say(operation)

    async def finish(self) -> None:
        """Move whatever is due until nothing is."""
        while await self.runner.move():
            pass

    def files(self) -> list[Path]:
        """What the store has in its folder."""
        return files_in(self.folder)

    async def get(self, path: str, person: Person) -> httpx.Response:
        return await self.site.client.get(path, headers=person.headers)

    async def ask(self, person: Person, **headers: str) -> httpx.Response:
        return await self.site.client.post("/v1/me/export", headers={**person.headers, **headers})

    async def exported(self, person: Person) -> dict[str, Any]:
        """The operation of an export once it has ended."""
        location = (await self.ask(person)).headers["location"]

        async def ended() -> bool:
            await self.finish()
            return (await self.get(location, person)).json()["ended_at"] is not None

        await until_answered(ended)
        found: dict[str, Any] = (await self.get(location, person)).json()
        return found

    async def archive(self, person: Person) -> dict[str, Any]:
        """The files of a new export; JSON is parsed."""
        operation = await self.exported(person)
        answer = await self.site.client.get(operation["result"]["download_url"])
        assert answer.status_code == 200, answer.text
        return unpacked(answer.content)


def files_in(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def unpacked(data: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        assert files.testzip() is None
        read = {name: files.read(name).decode() for name in files.namelist()}
    return {name: json.loads(text) if name.endswith(".json") else text for name, text in read.items()}
