"""How files come to tasks: in a form, streamed into the store; or sent to the store itself, and then read back."""

import hashlib
from datetime import timedelta
from typing import Final
from uuid import UUID

from blacksheep import Request, Response, Router

from actors.envelope import CommandResult
from api import paths
from api.access import Access
from api.answers import NO_STORE, Answer, encode, replay
from api.asks import ask_about_file, ask_of, unkeyed_ask
from api.binding import body_of, decoder_for, no_query, path_value
from api.calls import BodyTooLarge, Call, call_of
from api.changes import Changes, Render
from api.endpoints.attachment_docs import UPLOADS as OPERATIONS
from api.endpoints.attachment_docs import NewUpload, SignedUpload
from api.endpoints.attachments import right_now
from api.incoming_files import IncomingFiles, Whole, store_errors
from api.multipart import FormFile, boundary_of
from api.object_links import LINK_SECONDS
from api.paths import link, pattern
from api.rest_v1 import attachment
from api.services import Services
from api.used_keys import UsedKeys
from core.ask import Ask
from core.commands import AddAttachment
from core.errors import BadInput, Conflict, NotFound
from core.events import AttachmentAdded
from core.field_error import FieldError
from core.file_names import file_name
from core.file_types import declared_type
from core.permissions import check_right
from core.rights import WRITE_TASKS
from core.writes import StoredReply
from db.idempotency import replay_or_run
from db.object_store import ObjectTooLarge, Stored
from db.transaction import Writing, reading, writing
from db.uploads import Claim, Upload, begin_upload, find_upload, forget_upload, sent_key

__all__ = ["OPERATIONS", "register"]

_new_upload: Final = decoder_for(NewUpload)


class Uploads:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services) -> None:
        self._services, self._pool = services, services.pools.api
        self._access, self._changes = Access(services), Changes(services)
        self._files = IncomingFiles(self._pool, services.objects, services.attachment_bytes)
        self._most = services.quotas.uploads_per_user

    async def add(self, request: Request) -> Response:
        """POST /v1/tasks/{task_id}/attachments: a form with a file."""
        call, task_id = call_of(request), path_value(request, "task_id")
        no_query(call)
        boundary = boundary_of(call.headers.get(b"content-type", b""))
        team_id = await self._writable(call, task_id)
        form = await _opened(call, boundary)
        name, user_id = _named(form), call.principal().user_id
        async with writing(self._pool, user_id) as tx:
            upload_id = await self._begin(tx, call, team_id, task_id, name, form.media_type)
        async with self._files.forgetting(user_id, upload_id):
            whole = await self._written(upload_id, form, name)
            await self._files.keep(user_id, upload_id, whole, call.traceparent)
            ask = ask_about_file(call, form.name, form.media_type, whole.stored.sha256)
            return await self._attach(ask, team_id, _command(task_id, upload_id, name, whole.media_type, whole.stored))

    async def begin(self, request: Request) -> Response:
        """POST /v1/tasks/{task_id}/attachments/uploads."""
        call, task_id = call_of(request), path_value(request, "task_id")
        no_query(call)
        new = await body_of(request, _new_upload)
        team_id = await self._writable(call, task_id)
        if new.size > self._files.largest:
            raise BadInput(f"A file must be at most {self._files.largest} bytes.", pointer="/size")

        async def run(tx: Writing) -> StoredReply:
            claim = Claim(new.size, bytes.fromhex(new.digest))
            upload_id = await self._begin(tx, call, team_id, task_id, file_name(new.name), new.media_type, claim)
            signed = await self._signed(call, upload_id)
            headers = (NO_STORE, (b"taskforge-team", call.team))
            return Answer(201, encode(signed), headers).stored(0)

        ran = await replay_or_run(self._pool, await ask_of(call), run, sealed=self._services.sealed)
        return replay(ran.reply, replayed=ran.replayed).response()

    async def complete(self, request: Request) -> Response:
        """POST /v1/tasks/{task_id}/attachments/uploads/{upload_id}/complete."""
        call, task_id, upload_id = call_of(request), path_value(request, "task_id"), path_value(request, "upload_id")
        no_query(call)
        team_id, user_id = await self._writable(call, task_id), call.principal().user_id
        upload = await self._find(user_id, upload_id)
        if (upload.team_id, upload.task_id) != (team_id, task_id):
            raise NotFound("upload")
        if upload.key is None:
            upload = await self._brought(call, upload)
        return await self._attach(await ask_of(call), team_id, _taken(upload))

    async def _writable(self, call: Call, task_id: UUID) -> UUID:
        """The team of a task that the caller may change: nobody else's bytes are read."""
        team_id, view = await self._access.task(call, task_id)
        principal = call.principal()
        check_right(view.role_of(principal.user_id), principal, WRITE_TASKS)
        return team_id

    async def _begin(
        self,
        tx: Writing,
        call: Call,
        team_id: UUID,
        task_id: UUID,
        name: str,
        declared: str,
        claim: Claim | None = None,
    ) -> UUID:
        return await begin_upload(
            tx,
            user_id=call.principal().user_id,
            team_id=team_id,
            task_id=task_id,
            name=name,
            media_type=declared_type(declared),
            most=self._most,
            claim=claim,
        )

    async def _written(self, upload_id: UUID, form: FormFile, name: str) -> Whole:
        try:
            return await self._files.write(upload_id, form.pieces(), name, form.media_type)
        except ObjectTooLarge as error:
            raise BodyTooLarge(self._files.largest) from error

    async def _signed(self, call: Call, upload_id: UUID) -> SignedUpload:
        now = self._services.clock.now()
        with store_errors():
            url = await self._files.store.address(sent_key(upload_id), LINK_SECONDS, "PUT")
        if url is None:
            url = self._services.object_links.make("PUT", upload_id, call.principal().user_id, now.timestamp())
        return SignedUpload(upload_id, "PUT", url, {}, now + timedelta(seconds=LINK_SECONDS))

    async def _find(self, user_id: UUID, upload_id: UUID) -> Upload:
        async with reading(self._pool, user_id) as tx:
            upload = await find_upload(tx, user_id, upload_id)
        if upload is None or upload.claimed_size is None:
            raise NotFound("upload")
        return upload

    async def _brought(self, call: Call, upload: Upload) -> Upload:
        """The upload once its file is in its place, checked: once, however many complete it at the same moment."""
        try:
            whole = await self._files.check(upload)
            await self._files.keep(upload.user_id, upload.id, whole, call.traceparent)
        except (Conflict, NotFound) as refusal:
            now = await self._find(upload.user_id, upload.id)
            if now.key is not None:  # Somebody was quicker.
                return now
            if isinstance(refusal, Conflict) and refusal.reason == "upload-differs":
                async with writing(self._pool, upload.user_id) as tx:
                    await forget_upload(tx, upload.id)
            raise
        with store_errors():
            await self._files.store.delete(sent_key(upload.id))
        return await self._find(upload.user_id, upload.id)

    async def _attach(self, ask: Ask, team_id: UUID, command: AddAttachment) -> Response:
        return (await self._changes.make(ask, team_id, command, self._shown(team_id))).response()

    def _shown(self, team_id: UUID) -> Render:
        def render(result: CommandResult) -> Answer:
            event = result.events[0].event
            assert isinstance(event, AttachmentAdded), "what was asked for happened"
            location = (b"location", link(paths.ATTACHMENT, event.attachment.id))
            headers = self._changes.headers(team_id, result, (location,))
            return Answer(201, encode(attachment(event.attachment)), headers)

        return render


def _command(task_id: UUID, upload_id: UUID, name: str, media_type: str, stored: Stored) -> AddAttachment:
    return AddAttachment(
        task_id=task_id,
        attachment_id=upload_id,
        name=name,
        media_type=media_type,
        size=stored.size,
        digest=stored.sha256.hex(),
    )


def _taken(upload: Upload) -> AddAttachment:
    assert upload.key is not None, "the file is in its place"
    assert upload.size is not None
    assert upload.sha256 is not None
    stored = Stored(upload.key, upload.size, upload.sha256)
    return _command(upload.task_id, upload.id, upload.name, upload.media_type, stored)


async def _opened(call: Call, boundary: bytes) -> FormFile:
    """The file of the request's form. From here on the body is on its way: it cannot be read again for its key."""
    unkeyed_ask(call)
    return await FormFile(call.pieces(), boundary).open()


def _named(form: FormFile) -> str:
    try:
        return file_name(form.name)
    except FieldError as error:
        raise BadInput(str(error), pointer="/file") from error


async def read_form(call: Call) -> Ask:
    """What a form asks, when nobody takes its file any more: the same that it asked when somebody did."""
    form = await FormFile(call.pieces(), boundary_of(call.headers.get(b"content-type", b""))).open()
    digest = hashlib.sha256()
    async for piece in form.pieces():
        digest.update(piece)
    return ask_about_file(call, form.name, form.media_type, digest.digest())


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    uploads, keyed = Uploads(services), UsedKeys(services).around
    router.add_post(pattern(paths.TASK_ATTACHMENTS), keyed(uploads.add, right_now, read_ask=read_form))
    router.add_post(pattern(paths.TASK_UPLOADS), keyed(uploads.begin, right_now))
    router.add_post(pattern(paths.TASK_UPLOAD_COMPLETE), keyed(uploads.complete, right_now))
