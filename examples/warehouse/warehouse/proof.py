"""Whether the copy is right: everything is computed anew from the rows that stand in the tables."""

import hashlib
from collections import Counter

from .events import KINDS, Thing, canonical, read
from .store import Team, Warehouse


def differences(warehouse: Warehouse, team: str, checkpoint: Thing) -> list[str]:
    """Which of `seq`, `chain`, `things` and `state` differ from the checkpoint; nothing when the copy is proven."""
    at = warehouse.team(team) or Team()
    counts, state = _fold(warehouse, team)
    mine = {
        "seq": [at.epoch, at.seq],
        "chain": _chain(warehouse, team, at),
        "things": {kind: counts[kind] for kind in KINDS},
        "state": state,
    }
    told = {**checkpoint, "seq": [checkpoint["epoch"], checkpoint["seq"]]}
    return [name for name, value in mine.items() if value != told[name]]


def _fold(warehouse: Warehouse, team: str) -> tuple[Counter[str], str]:
    hashes: list[str] = []
    counts: Counter[str] = Counter()
    for kind, thing in warehouse.rows("select kind, thing from things where team = ?", team):
        counts[kind] += 1
        hashes.append(hashlib.sha256(f"{kind} {canonical(read(thing))}".encode()).hexdigest())
    return counts, hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()


def _chain(warehouse: Warehouse, team: str, at: Team) -> str | None:
    """The chain over the rows of events; None when one is missing, doubled, or says something else than it did."""
    chain, seq = bytes.fromhex(at.begun_chain), at.begun_seq
    query = "select seq, salt, digest, data from events where team = ? order by seq"
    for number, salt, digest, data in warehouse.rows(query, team):
        told = bytes.fromhex(digest)
        if number != seq + 1 or (salt and hashlib.sha256(bytes.fromhex(salt) + data.encode()).digest() != told):
            return None
        chain, seq = hashlib.sha256(chain + told).digest(), number
    return chain.hex() if seq == at.seq else None
