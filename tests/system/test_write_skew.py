"""Two API processes, and transactions that would spoil each other: `if_seq` and `reads` keep them serialisable.

The skew is the textbook's: two are on call, each may leave while the other stays, and both look before they leave.
"""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.support.account import NO_TLS, Account
from tests.support.proofs import share
from tests.support.system import System, children

pytestmark = [pytest.mark.anyio, pytest.mark.system]
UP = ("--workers", "2")
ROUNDS, PROOF_ROUNDS = 25, 1_000


class Ward:
    """A team with two tasks that stand for two people on call, and two clients, each on connections of its own."""

    def __init__(self, system: System) -> None:
        self.account = Account(system.url)
        self.team = self.account.team("one", "two")
        self.one, self.two = self.account.board(self.team)["open"]
        headers = {"authorization": self.account.http.headers["authorization"]}
        self._clients = [
            httpx.AsyncClient(base_url=system.url, headers=headers, timeout=20, verify=NO_TLS) for _ in range(4)
        ]

    async def __aenter__(self) -> "Ward":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.account.http.close()
        for client in self._clients:
            await client.aclose()

    async def together(self, seq: int, *bodies: dict[str, Any]) -> Counter[int]:
        """How often each status was answered to batches that are sent at once, on connections of their own."""
        sent = [
            client.post("/v1/tasks/batch", json={"team_id": self.team, "if_seq": seq, **body})
            for client, body in zip(self._clients, bodies, strict=False)
        ]
        answers = await asyncio.gather(*sent)
        return Counter(answer.status_code for answer in answers)

    async def look(self) -> tuple[int, dict[str, list[dict[str, Any]]]]:
        """The seq, and the tasks of each column, as the newest change left them."""
        board = (await self._clients[0].get(f"/v1/teams/{self.team}/board")).json()
        return board["seq"], {column["category"]: column["tasks"] for column in board["columns"]}

    async def back_on_call(self) -> int:
        """Both are on call again; the seq."""
        operations = [{"op": "update", "id": task, "status": "open"} for task in (self.one, self.two)]
        answer = await self._clients[0].post("/v1/tasks/batch", json={"team_id": self.team, "operations": operations})
        seq: int = answer.raise_for_status().json()["seq_to"]
        return seq

    def leave(self, task: str, *reads: str) -> dict[str, Any]:
        return {"operations": [{"op": "update", "id": task, "status": "done"}], "reads": reads}


async def skew(ward: Ward, rounds: int) -> None:
    for _ in range(rounds):
        seq = await ward.back_on_call()
        answers = await ward.together(seq, ward.leave(ward.one, ward.two), ward.leave(ward.two, ward.one))
        assert answers == {200: 1, 412: 1}, "both left, or nobody could"
    _, columns = await ward.look()
    assert len(columns["open"]) == 1


async def phantoms(ward: Ward, rounds: int) -> None:
    create = {"operations": [{"op": "create", "title": "The only one", "status": "in_review"}], "reads": ["*"]}
    for _ in range(rounds):
        seq, before = await ward.look()
        if before["in_review"]:
            archive = [{"op": "archive", "id": task["id"]} for task in before["in_review"]]
            assert await ward.together(seq, {"operations": archive, "reads": ["*"]}) in ({200: 1}, {412: 1})
            continue
        answers = await ward.together(seq, create, create, create, create)
        assert answers[200] <= 1
        assert answers[200] + answers[412] == 4
    _, after = await ward.look()
    assert len(after["in_review"]) <= 1


async def test_no_two_transactions_that_read_each_others_task_are_both_made(system: System) -> None:
    assert len(children(system.pid_of("taskforge api"))) >= 2
    async with await asyncio.to_thread(Ward, system) as ward:
        await skew(ward, ROUNDS)


async def test_without_reads_both_are_made(system: System) -> None:
    async with await asyncio.to_thread(Ward, system) as ward:
        seq = await ward.back_on_call()
        assert await ward.together(seq, ward.leave(ward.one), ward.leave(ward.two)) == {200: 2}


async def test_no_two_transactions_that_saw_nothing_make_the_same_thing(system: System) -> None:
    async with await asyncio.to_thread(Ward, system) as ward:
        await phantoms(ward, ROUNDS)


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_a_thousand_rounds_of_skew_and_of_phantoms(system: System) -> None:
    async with await asyncio.to_thread(Ward, system) as ward:
        await skew(ward, share(PROOF_ROUNDS))
        await phantoms(ward, share(PROOF_ROUNDS))
