"""`POST /v1/tasks/batch` with `if_seq` and `reads`: a serialisable transaction over REST."""

from typing import Any

import httpx
import pytest

from tests.support.desk import RANDOM, Desk, new_key, problem

pytestmark = pytest.mark.anyio

BATCH = "/v1/tasks/batch"
NEW = {"op": "create", "title": "Made on what was read"}


async def seq_of(desk: Desk) -> int:
    return int((await desk.get(f"/v1/teams/{desk.team}/board")).json()["seq"])


async def batch(desk: Desk, if_seq: Any, reads: list[str], *operations: Any, **headers: str) -> httpx.Response:
    body = {"team_id": desk.team, "operations": operations or (NEW,), "if_seq": if_seq, "reads": reads}
    return await desk.post(BATCH, body, **headers)


async def test_a_batch_passes_while_what_it_rests_on_stands(desk: Desk) -> None:
    task = await desk.task()
    seq = await seq_of(desk)
    await desk.task("Something else")
    answer = await batch(desk, seq, [task["id"]])
    assert answer.status_code == 200, answer.text
    assert (await batch(desk, f"1:{seq}", [task["id"].upper()])).status_code == 200


async def test_a_changed_read_is_named_and_nothing_is_made(desk: Desk) -> None:
    task, other = await desk.task(), await desk.task()
    seq = await seq_of(desk)
    await desk.patch(f"/v1/tasks/{task['id']}", {"title": "Theirs"})
    stale = problem(await batch(desk, seq, [other["id"], task["id"]]), 412, "stale-read")
    assert stale["changed"] == [task["id"]]
    assert stale["seq"] == seq + 1 == await seq_of(desk)


async def test_a_task_that_is_operated_on_needs_no_mention(desk: Desk) -> None:
    task = await desk.task()
    seq = await seq_of(desk)
    await desk.delete(f"/v1/tasks/{task['id']}?permanent=true")
    operation = {"op": "update", "id": task["id"], "title": "Ours"}
    assert problem(await batch(desk, seq, [], operation), 412, "stale-read")["changed"] == [task["id"]]
    problem(await batch(desk, await seq_of(desk), [], operation), 404, "not-found")


async def test_a_label_and_the_whole_team_are_read_too(desk: Desk) -> None:
    labels = f"/v1/teams/{desk.team}/labels"
    label = (await desk.post(labels, {"name": new_key(), "color": "#aa0000"})).json()
    seq = await seq_of(desk)
    assert (await batch(desk, seq, ["*", label["id"]])).status_code == 200
    created = (await seq_of(desk), await desk.patch(f"{labels}/{label['id']}", {"color": "#00aa00"}))[0]
    assert problem(await batch(desk, created, [label["id"]]), 412, "stale-read")["changed"] == [label["id"]]
    assert problem(await batch(desk, created, ["*"]), 412, "stale-read")["changed"] == [label["id"]]


async def test_a_retry_under_its_key_gets_the_answer_that_it_had(desk: Desk) -> None:
    task = await desk.task()
    seq, key = await seq_of(desk), {"Idempotency-Key": new_key()}
    operation = {"op": "update", "id": task["id"], "title": "Once"}
    made = await batch(desk, seq, [task["id"]], operation, **key)
    again = await batch(desk, seq, [task["id"]], operation, **key)
    assert made.status_code == 200
    assert (again.content, again.headers["idempotent-replayed"]) == (made.content, "true")
    problem(await batch(desk, seq, [task["id"]], operation, **{"Idempotency-Key": new_key()}), 412, "stale-read")


async def test_a_dry_run_judges_the_basis_and_writes_nothing(desk: Desk) -> None:
    task = await desk.task()
    seq = await seq_of(desk)
    body = {"team_id": desk.team, "operations": [NEW], "if_seq": seq, "reads": [task["id"], "*"]}
    assert (await desk.post(f"{BATCH}?dry_run=true", body)).status_code == 200
    await desk.patch(f"/v1/tasks/{task['id']}", {"title": "Theirs"})
    problem(await desk.post(f"{BATCH}?dry_run=true", body), 412, "stale-read")
    assert await seq_of(desk) == seq + 1


@pytest.mark.parametrize(
    ("if_seq", "reads", "pointer"),
    [
        (-1, [], "/if_seq"),
        ("x", [], "/if_seq"),
        (2**63, [], "/if_seq"),
        ("9223372036854775808", [], "/if_seq"),
        ("0:3", [], "/if_seq"),
        (1.5, [], "/if_seq"),
        (1, ["nothing"], "/reads/0"),
        (1, ["*", "**"], "/reads/1"),
        (1, ["*"] * 501, "/reads"),
    ],
)
async def test_a_basis_in_no_form_is_refused_by_its_place(desk: Desk, if_seq: Any, reads: Any, pointer: str) -> None:
    assert problem(await batch(desk, if_seq, reads), 400, "bad-input")["errors"][0]["pointer"] == pointer


async def test_reads_without_a_place_are_refused(desk: Desk) -> None:
    body = {"team_id": desk.team, "operations": [NEW], "reads": ["*"]}
    assert problem(await desk.post(BATCH, body), 400, "bad-input")["errors"][0]["pointer"] == "/reads"


async def test_a_place_that_was_never_handed_out_is_refused(desk: Desk) -> None:
    problem(await batch(desk, await seq_of(desk) + 1, []), 400, "ahead-of-history")
    problem(await batch(desk, "2:1", []), 400, "ahead-of-history")


async def test_a_foreign_id_among_the_reads_looks_like_a_random_one(desk: Desk) -> None:
    seq = await seq_of(desk)
    answers = [await batch(desk, seq, [one]) for one in (desk.other_task["id"], RANDOM)]
    foreign, random = (problem(answer, 422, "invalid-reference") for answer in answers)
    assert foreign == random
    assert foreign["errors"][0]["pointer"] == "/reads/0"
