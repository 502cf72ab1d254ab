"""Events as TaskForge sends them, with as much of them as a copy needs, and what they prove."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

KINDS = ("task", "comment", "attachment", "member", "label", "column", "team")
Thing = dict[str, Any]


def read(text: str | bytes) -> Any:
    """JSON, with whole numbers as RFC 8785 writes them: 2.0 is 2."""
    return json.loads(
        text, parse_float=lambda number: int(float(number)) if float(number).is_integer() else float(number)
    )


def canonical(thing: Thing) -> str:
    """Canonical JSON (RFC 8785)."""
    return json.dumps(thing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def id_of(kind: str, thing: Thing) -> str:
    return str(thing["user_id" if kind == "member" else "id"])


@dataclass(frozen=True)
class Event:
    """One event. `written` are the bytes of its data as they were sent, over which its digest is made."""

    team: str
    epoch: int
    seq: int
    type: str
    time: str
    actor: str
    subject: str
    data: Thing
    written: bytes
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, body: bytes) -> "Event":
        """The event of a record of the topic, or of an item of a page."""
        event = read(body)
        written = body[body.index(b',"data":') + 8 : -1]
        salt = base64.b64decode(event.get("salt", ""))
        # What was redacted has no salt any more, and the digest of what was there.
        digest = hashlib.sha256(salt + written).digest() if salt else base64.b64decode(event["digest"])
        return cls(
            team=event["teamid"],
            epoch=event["epoch"],
            seq=event["seq"],
            type=event["type"],
            time=event["time"],
            actor=event["actor"],
            subject=event["subject"],
            data=event["data"],
            written=written,
            salt=salt,
            digest=digest,
        )

    @property
    def about(self) -> list[str]:
        """Whose text may stand in it: the ids that `history.redacted` names."""
        said = [id_of(kind, self.data[kind]) for kind in ("comment", "member") if kind in self.data]
        return sorted({self.subject, *said})


class Changes:
    """What events in the order of their `seq` do to the things of a team; `known` has what they may refer to."""

    def __init__(self, known: dict[tuple[str, str], Thing]) -> None:
        self.there = known
        self.gone: set[tuple[str, str]] = set()
        self.ended: set[str] = set()
        self.emptied = False

    def apply(self, event: Event) -> None:
        noun, verb = event.type.split(".")
        for kind in KINDS:
            if kind in event.data:
                key = (kind, id_of(kind, event.data[kind]))
                if kind == noun and verb in ("deleted", "removed"):
                    self._drop(key)
                else:
                    self.there[key] = event.data[kind]
                    self.gone.discard(key)
        for other, rank in event.data.get("ranks", {}).items():
            self._amend((noun, other), {"rank": rank} | ({"version": event.seq} if noun == "task" else {}))
        if event.type == "history.redacted":
            for subject in event.data["subjects"]:
                self._amend(("member", subject), {"name": "Deleted user"})

    def _amend(self, key: tuple[str, str], fields: Thing) -> None:
        if key in self.there:
            self.there[key] = self.there[key] | fields

    def _drop(self, key: tuple[str, str]) -> None:
        if key[0] == "team":  # Everything goes with it.
            self.there, self.emptied = {}, True
        self.there.pop(key, None)
        self.gone.add(key)
        if key[0] == "task":  # Its comments and attachments go with it.
            self.ended.add(key[1])
            for other in [k for k, thing in self.there.items() if thing.get("task_id") == key[1]]:
                self._drop(other)


def referred_to(events: list[Event]) -> list[tuple[str, str]]:
    """The things of which these events say something without saying all of it."""
    wanted = {(event.type.split(".")[0], other) for event in events for other in event.data.get("ranks", {})}
    wanted |= {("member", subject) for event in events for subject in event.data.get("subjects", ())}
    return sorted(wanted)
