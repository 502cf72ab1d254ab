"""How the endpoints of attachments are documented, and the shapes of their bodies."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct

from api import paths
from api.endpoints.task_docs import OF_TEAM, TASK
from api.multipart import FORM
from api.object_links import LINK_SECONDS
from api.openapi import MIN_SEQ, PAGE, TEAM_HINT, Operation, Reply
from api.paths import link
from api.rest_v1 import Attachment
from core.file_names import LONGEST_NAME, file_name
from core.rights import READ, WRITE_TASKS, in_team

__all__ = ["READS", "UPLOADS", "AttachmentPage", "FileForm", "NewUpload", "SignedUpload"]

EXAMPLE: Final[dict[str, Any]] = {
    "id": "019a3b1e-6e00-7000-8000-0000000000a1",
    "task_id": TASK["id"],
    "name": "floor plan.png",
    "media_type": "image/png",
    "size": 48_213,
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_by": "019a3b1e-5b00-7000-8000-000000000001",
    "created_at": "2026-02-01T09:00:00Z",
}


class AttachmentPage(Struct, frozen=True):
    """A page of a task's attachments, oldest first."""

    items: tuple[Attachment, ...]
    next_cursor: str | None


class FileForm(Struct, frozen=True):
    """A form whose only field is the file."""

    file: Annotated[str, Meta(extra_json_schema={"format": "binary"}, description="The file, with its name.")]


class NewUpload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that will be sent to the store itself."""

    name: Annotated[str, Meta(min_length=1, max_length=4 * LONGEST_NAME, description="At most 255 bytes of UTF-8.")]
    size: Annotated[int, Meta(ge=0, le=2**53, description="Bytes.")]
    media_type: Annotated[str, Meta(max_length=200)] = ""
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file, in hexadecimal.")]

    def __post_init__(self) -> None:
        file_name(self.name)


class SignedUpload(Struct, frozen=True):
    """Where to send the file, with which method and headers, and until when. Complete the upload afterwards."""

    upload_id: UUID
    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    expires_at: datetime


_AWAY: Final = ("unavailable", "storage-unavailable")
_LINKED: Final = Reply(description="Where it is, for a short time.", headers=("Location", "Cache-Control", *OF_TEAM))
_ADDED: Final = Reply(description="The attachment.", body=Attachment, headers=("Location", *OF_TEAM), example=EXAMPLE)
_DECIDED: Final = (
    "not-found",
    "forbidden",
    "conflict",
    "quota-reached",
    "ahead-of-history",
    "history-rewritten",
    *_AWAY,
)

READS: Final = (
    Operation(
        method="GET",
        path=paths.TASK_ATTACHMENTS,
        id="listAttachments",
        summary="The files of a task",
        tag="Attachments",
        description="Oldest first, of archived tasks too.",
        parameters=(*PAGE, TEAM_HINT, MIN_SEQ),
        replies={
            200: Reply(
                description="A page.",
                body=AttachmentPage,
                headers=OF_TEAM,
                example={"items": [EXAMPLE], "next_cursor": None},
            )
        },
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.ATTACHMENT,
        id="getAttachment",
        summary="One file of a task",
        tag="Attachments",
        description="What is known of the file; the file itself is at `…/download`.",
        parameters=(MIN_SEQ,),
        replies={200: Reply(description="The attachment.", body=Attachment, headers=OF_TEAM, example=EXAMPLE)},
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.ATTACHMENT_DOWNLOAD,
        id="downloadAttachment",
        summary="Download a file",
        tag="Attachments",
        description=(
            f"A redirect to a signed address, good for {LINK_SECONDS} seconds, for this file and for whoever asked. "
            "It is judged again when it is used: it ends with the file, the membership and the account."
        ),
        parameters=(MIN_SEQ,),
        replies={302: _LINKED},
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.ATTACHMENT_THUMBNAIL,
        id="getThumbnail",
        summary="A small picture of an image",
        tag="Attachments",
        description=(
            "A redirect to a signed address of a WebP of at most 320 pixels each way, without metadata. It is made "
            "soon after a PNG, JPEG, GIF or WebP has come; before that, and for what is no such image, it is a 404."
        ),
        parameters=(MIN_SEQ,),
        replies={302: _LINKED},
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="DELETE",
        path=paths.ATTACHMENT,
        id="deleteAttachment",
        summary="Delete a file of a task",
        tag="Attachments",
        description="For good; its addresses end at once. The task must be on the board.",
        parameters=(MIN_SEQ,),
        replies={204: Reply(description="It is gone.", headers=OF_TEAM)},
        problems=("not-found", "forbidden", "conflict", "ahead-of-history", "history-rewritten"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
)

UPLOADS: Final = (
    Operation(
        method="POST",
        path=paths.TASK_ATTACHMENTS,
        id="addAttachment",
        summary="Attach a file to a task",
        tag="Attachments",
        description=(
            "A form with one field, `file`. It is stored as it comes; its type is what its bytes say, and "
            "application/octet-stream where they say something else than the form. The largest size is a setting "
            "(25 MiB): a longer body is refused at once, or cut when it says no length."
        ),
        parameters=(TEAM_HINT, MIN_SEQ),
        body=FileForm,
        body_media_types=(FORM,),
        body_example={"file": "(the file)"},
        replies={201: _ADDED},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="POST",
        path=paths.TASK_UPLOADS,
        id="beginUpload",
        summary="Begin to send a file to the store itself",
        tag="Attachments",
        description=(
            f"Send the file with the method and headers named to the address, within {LINK_SECONDS} seconds; then "
            "complete the upload. One that is not completed within an hour is forgotten."
        ),
        parameters=(TEAM_HINT, MIN_SEQ),
        body=NewUpload,
        body_example={name: EXAMPLE[name] for name in ("name", "size", "media_type", "digest")},
        replies={
            201: Reply(
                description="Where to send it.",
                body=SignedUpload,
                headers=OF_TEAM,
                example={
                    "upload_id": EXAMPLE["id"],
                    "method": "PUT",
                    "url": link(paths.OBJECT, "UFVUAZo7Hm4AcgCAAA").decode(),
                    "headers": {},
                    "expires_at": "2026-02-01T09:05:00Z",
                },
            )
        },
        problems=_DECIDED,
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="POST",
        path=paths.TASK_UPLOAD_COMPLETE,
        id="completeUpload",
        summary="Attach a file that was sent to the store",
        tag="Attachments",
        description=(
            "The file is read back and must have the size and digest that were named (409 `upload-differs`, and the "
            "upload is over), and must have come at all (409 `upload-missing`)."
        ),
        parameters=(TEAM_HINT, MIN_SEQ),
        replies={201: _ADDED},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
)
