"""Files of tasks over REST: they come in a form or directly, are listed and handed out, and go for good."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from core.commands import RemoveMember
from db.transaction import reading, writing
from streams.housekeeping import tidy
from tests.support.asking import by
from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.files import PNG, attach, attached, begun, digest_of

pytestmark = pytest.mark.anyio

PDF = b"%PDF-1.7\n" + b"x" * 3000

PARTS = (("0-99", 0, 100), ("1000-", 1000, 1024), ("-24", 1000, 1024), ("1023-9999", 1023, 1024))
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
TWO_FILES = HEAD + b"\r\n" + HEAD + b"\r\n--x--"


async def task_of(desk: Desk, task_id: str) -> Any:
    return (await desk.get(f"/v1/tasks/{task_id}")).json()


async def address_of(desk: Desk, attachment_id: str, who: str = "owner") -> str:
    answer = await desk.get(f"/v1/attachments/{attachment_id}/download", who)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def fetch(desk: Desk, attachment_id: str, **headers: str) -> httpx.Response:
    """What anybody gets who has the address."""
    return await desk.client.get(await address_of(desk, attachment_id), headers=headers)


async def keys_of(desk: Desk, attachment_id: str) -> list[str]:
    store = desk.site.services.objects
    assert store is not None
    return await store.keys(f"attachment/{attachment_id}")


class TestForm:
    async def test_a_file_is_attached_counted_listed_and_downloaded(self, desk: Desk) -> None:
        task = await desk.task()
        answer = await attach(desk, task["id"], b"some text", "Grüße.txt", who="member")
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert answer.headers["location"] == f"/v1/attachments/{made['id']}"
        assert (made["task_id"], made["name"], made["media_type"]) == (task["id"], "Grüße.txt", "text/plain")
        assert (made["size"], made["digest"]) == (9, digest_of(b"some text"))
        assert made["created_by"] == desk["member"].user_id
        after = await task_of(desk, task["id"])
        assert (after["attachment_count"], after["version"]) == (1, int(answer.headers["taskforge-seq"]))
        assert after["updated_at"] == made["created_at"]
        listed = (await desk.get(f"/v1/tasks/{task['id']}/attachments", "viewer")).json()
        assert listed == {"items": [made], "next_cursor": None}
        assert (await desk.get(f"/v1/attachments/{made['id']}", "viewer")).json() == made
        file = await fetch(desk, made["id"])
        assert (file.status_code, file.content) == (200, b"some text")
        assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt"

    async def test_pages_have_each_file_once_in_order(self, desk: Desk) -> None:
        task = await desk.task()
        made = [(await attached(desk, task["id"], name=f"{number}.txt"))["id"] for number in range(5)]
        path, seen, cursor = f"/v1/tasks/{task['id']}/attachments?limit=2", list[str](), ""
        while True:
            page = (await desk.get(path + cursor)).json()
            seen += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == made

    async def test_a_repeat_with_its_key_attaches_nothing_again(self, desk: Desk) -> None:
        task, key = await desk.task(), {"Idempotency-Key": new_key()}
        first = await attach(desk, task["id"], headers=key)
        again = await attach(desk, task["id"], headers=key)
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["idempotent-replayed"] == "true"
        assert (await task_of(desk, task["id"]))["attachment_count"] == 1
        problem(await attach(desk, task["id"], b"other bytes", headers=key), 422, "idempotency-key-reused")
        assert (await desk.delete(f"/v1/tasks/{task['id']}?permanent=true")).status_code == 204
        gone = await attach(desk, task["id"], headers=key)
        assert (gone.status_code, gone.json()) == (201, {"redacted": True})

    async def test_what_is_no_such_form_is_refused(self, desk: Desk) -> None:
        task = await desk.task()
        path = f"/v1/tasks/{task['id']}/attachments"
        problem(await desk.post(path, {"file": "x"}), 415, "unsupported-media-type")
        for body, named in (
            (b"", False),
            (b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc', False),
            (b"--y\r\n\r\n\r\n--y--", False),
            (b'--x\r\nContent-Disposition: form-data; name="other"; filename="a"\r\n\r\nabc\r\n--x--', True),
            (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc\r\n--x--', True),
            (TWO_FILES, True),
            (b"--x\r\nA: " + b"b" * 9000 + b"\r\n\r\n\r\n--x--", False),
        ):
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            document = problem(await desk.ask("POST", path, content=body, headers=headers), 400, "bad-input")
            assert ("errors" in document) == named, body
        assert (await task_of(desk, task["id"]))["attachment_count"] == 0

    async def test_who_may_not_is_refused_before_a_byte_is_kept(self, desk: Desk) -> None:
        task = await desk.task()
        problem(await attach(desk, task["id"], who="viewer"), 403, "forbidden")
        problem(await attach(desk, task["id"], who="stranger"), 404, "not-found")
        problem(await attach(desk, RANDOM), 404, "not-found")

    async def test_an_archived_task_takes_none_and_lets_none_go(self, desk: Desk) -> None:
        task = await desk.task()
        made = await attached(desk, task["id"])
        assert (await desk.delete(f"/v1/tasks/{task['id']}")).is_success
        assert problem(await attach(desk, task["id"]), 409, "conflict")["reason"] == "archived"
        assert problem(await desk.delete(f"/v1/attachments/{made['id']}"), 409, "conflict")["reason"] == "archived"
        assert (await fetch(desk, made["id"])).content == b"some text"
        assert len((await desk.get(f"/v1/tasks/{task['id']}/attachments")).json()["items"]) == 1

    async def test_many_at_once_are_all_counted(self, desk: Desk) -> None:
        task = await desk.task()
        made = await asyncio.gather(*(attach(desk, task["id"], b"%d" % number) for number in range(12)))
        assert {answer.status_code for answer in made} == {201}
        assert (await task_of(desk, task["id"]))["attachment_count"] == 12


class TestDirect:
    async def send(self, desk: Desk, signed: Any, data: bytes) -> httpx.Response:
        return await desk.client.request(signed["method"], signed["url"], content=data, headers=signed["headers"])

    def complete(self, task_id: str, signed: Any) -> str:
        return f"/v1/tasks/{task_id}/attachments/uploads/{signed['upload_id']}/complete"

    async def test_a_file_is_sent_to_the_address_and_attached(self, desk: Desk) -> None:
        task = await desk.task()
        answer = await begun(desk, task["id"], PDF, "member")
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store"), answer.text
        signed = answer.json()
        assert (
            problem(await desk.post(self.complete(task["id"], signed), None, "member"), 409, "conflict")["reason"]
            == "upload-missing"
        )
        assert (await self.send(desk, signed, PDF)).status_code == 204
        done = await desk.post(self.complete(task["id"], signed), None, "member")
        assert done.status_code == 201, done.text
        made = done.json()
        assert (made["id"], made["media_type"], made["size"]) == (signed["upload_id"], "application/pdf", len(PDF))
        assert (await fetch(desk, made["id"])).content == PDF
        assert len(await keys_of(desk, made["id"])) == 1
        # The address is spent: nobody changes the file any more, and nobody attaches it twice.
        assert (await self.send(desk, signed, PDF)).status_code == 404
        problem(await desk.post(self.complete(task["id"], signed), None, "member"), 404, "not-found")
        assert (await task_of(desk, task["id"]))["attachment_count"] == 1

    async def test_a_completion_with_a_key_is_answered_again(self, desk: Desk) -> None:
        task, key = await desk.task(), new_key()
        signed = (await begun(desk, task["id"], PDF)).json()
        await self.send(desk, signed, PDF)
        answers = [
            await desk.ask("POST", self.complete(task["id"], signed), headers={"Idempotency-Key": key}) for _ in "ab"
        ]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()

    async def test_another_file_than_announced_ends_the_upload(self, desk: Desk) -> None:
        task = await desk.task()
        signed = (await begun(desk, task["id"], PDF)).json()
        problem(await self.send(desk, signed, PDF[:-1]), 400, "bad-input")
        problem(await self.send(desk, signed, PDF + b"x"), 413, "body-too-large")
        assert (await self.send(desk, signed, PDF[:-1] + b"y")).status_code == 204
        refused = problem(await desk.post(self.complete(task["id"], signed)), 409, "conflict")
        assert refused["reason"] == "upload-differs"
        assert (await self.send(desk, signed, PDF)).status_code == 404
        problem(await desk.post(self.complete(task["id"], signed)), 404, "not-found")
        await tidy(desk.site.services.pools.worker, desk.site.services.objects)
        assert await keys_of(desk, signed["upload_id"]) == []

    async def test_only_who_began_it_completes_it_and_for_its_task(self, desk: Desk) -> None:
        task, other = await desk.task(), await desk.task()
        signed = (await begun(desk, task["id"], PDF)).json()
        await self.send(desk, signed, PDF)
        problem(await desk.post(self.complete(task["id"], signed), None, "admin"), 404, "not-found")
        problem(await desk.post(self.complete(other["id"], signed)), 404, "not-found")
        problem(await desk.post(self.complete(desk.other_task["id"], signed), None, "stranger"), 404, "not-found")
        assert (await desk.post(self.complete(task["id"], signed))).status_code == 201

    async def test_a_type_that_is_none_is_taken_for_bytes(self, desk: Desk) -> None:
        task = await desk.task()
        for declared in ("a\x00b", "no/type/at/all", "x" * 200, "\ud7ff/x"):
            assert (await begun(desk, task["id"], PDF, media_type=declared)).status_code == 201

    async def test_two_who_complete_at_once_attach_one_file(self, desk: Desk) -> None:
        task = await desk.task()
        signed = (await begun(desk, task["id"], PDF)).json()
        await self.send(desk, signed, PDF)
        answers = await asyncio.gather(*(desk.post(self.complete(task["id"], signed)) for _ in range(4)))
        assert [answer.status_code for answer in answers].count(201) == 1
        assert {answer.status_code for answer in answers} <= {201, 404, 409}
        assert (await task_of(desk, task["id"]))["attachment_count"] == 1
        assert len(await keys_of(desk, signed["upload_id"])) == 1

    @pytest.mark.parametrize(
        ("field", "value"),
        [("size", 26 * 1024 * 1024), ("size", -1), ("digest", "ab"), ("name", "a\u202eb"), ("name", "/"), ("more", 1)],
    )
    async def test_what_cannot_be_is_refused_with_its_field(self, desk: Desk, field: str, value: Any) -> None:
        task = await desk.task()
        document = problem(await begun(desk, task["id"], PDF, **{field: value}), 400, "bad-input")
        assert document["errors"][0]["pointer"] == f"/{field}"

    async def test_a_user_has_so_many_on_their_way(self, desk: Desk) -> None:
        desk.people["eager"] = await desk.site.person()
        await desk.join(desk.team, "owner", "eager", "member")
        task = await desk.task()
        for _ in range(50):
            assert (await begun(desk, task["id"], PDF, "eager")).status_code == 201
        document = problem(await begun(desk, task["id"], PDF, "eager"), 409, "quota-reached")
        assert (document["quota"], document["limit"]) == ("uploads-per-user", 50)
        problem(await attach(desk, task["id"], who="eager"), 409, "quota-reached")


class TestGoing:
    async def test_a_deleted_file_is_gone_at_once_and_its_bytes_after_the_sweep(self, desk: Desk) -> None:
        task = await desk.task()
        made, other = await attached(desk, task["id"]), await attached(desk, task["id"], name="other.txt")
        address = await address_of(desk, made["id"])
        gone = await desk.delete(f"/v1/attachments/{made['id']}", "member")
        assert gone.status_code == 204
        after = await task_of(desk, task["id"])
        assert (after["attachment_count"], after["version"]) == (1, int(gone.headers["taskforge-seq"]))
        assert (await desk.client.get(address)).status_code == 404
        problem(await desk.get(f"/v1/attachments/{made['id']}/download"), 404, "not-found")
        problem(await desk.delete(f"/v1/attachments/{made['id']}"), 404, "not-found")
        await tidy(desk.site.services.pools.worker, desk.site.services.objects)
        assert await keys_of(desk, made["id"]) == []
        assert (await fetch(desk, other["id"])).content == b"some text"

    async def test_files_go_with_a_task_that_is_deleted_for_good(self, desk: Desk) -> None:
        task = await desk.task()
        made = await attached(desk, task["id"])
        address = await address_of(desk, made["id"])
        assert (await desk.delete(f"/v1/tasks/{task['id']}?permanent=true")).status_code == 204
        assert (await desk.client.get(address)).status_code == 404
        problem(await desk.get(f"/v1/attachments/{made['id']}"), 404, "not-found")
        await tidy(desk.site.services.pools.worker, desk.site.services.objects)
        assert await keys_of(desk, made["id"]) == []
        async with reading(desk.site.services.pools.worker, None) as tx:
            assert await tx.fetchval("select count(*) from objects where id = $1", UUID(made["id"])) == 0

    async def test_an_upload_that_is_never_completed_is_swept(self, desk: Desk) -> None:
        task = await desk.task()
        signed = (await begun(desk, task["id"], PDF)).json()
        await desk.client.put(signed["url"], content=PDF)
        assert len(await keys_of(desk, signed["upload_id"])) == 1
        async with writing(desk.site.services.pools.worker) as tx:
            await tx.execute("update objects set expires_at = now() where id = $1", UUID(signed["upload_id"]))
        await tidy(desk.site.services.pools.worker, desk.site.services.objects)
        assert await keys_of(desk, signed["upload_id"]) == []

    async def test_addresses_end_with_the_membership(self, desk: Desk) -> None:
        desk.people["leaving"] = await desk.site.person()
        await desk.join(desk.team, "owner", "leaving", "member")
        task = await desk.task()
        made = await attached(desk, task["id"])
        address = await address_of(desk, made["id"], "leaving")
        signed = (await begun(desk, task["id"], PDF, "leaving")).json()
        assert (await desk.client.get(address)).status_code == 200
        command = RemoveMember(UUID(desk["leaving"].user_id))
        await desk.site.services.teams.ask(UUID(desk.team), command, by(desk["owner"].user_id))
        assert (await desk.client.get(address)).status_code == 404
        assert (await desk.client.put(signed["url"], content=PDF)).status_code == 404
        problem(await desk.get(f"/v1/attachments/{made['id']}/download", "leaving"), 404, "not-found")


class TestServed:
    async def test_parts_of_a_file(self, desk: Desk) -> None:
        task, data = await desk.task(), bytes(range(256)) * 4
        made = await attached(desk, task["id"], data, "bytes.bin", media_type="application/octet-stream")
        whole = await fetch(desk, made["id"])
        assert (whole.headers["etag"], whole.headers["accept-ranges"]) == (f'"{digest_of(data)}"', "bytes")
        for asked, start, end in (
            ("0-99", 0, 100),
            ("1000-", 1000, 1024),
            ("-24", 1000, 1024),
            ("1023-9999", 1023, 1024),
        ):
            part = await fetch(desk, made["id"], Range=f"bytes={asked}")
            assert (part.status_code, part.content) == (206, data[start:end]), asked
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
            assert part.headers["content-length"] == str(end - start)
        for asked in ("bytes=1024-", "bytes=-0"):
            refused = await fetch(desk, made["id"], Range=asked)
            assert refused.headers["content-range"] == "bytes */1024"
            problem(refused, 416, "range-not-satisfiable")
        for known in (whole.headers["etag"], f'"another", W/{whole.headers["etag"]}', "*"):
            again = await fetch(desk, made["id"], **{"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", whole.headers["etag"])
        assert (await fetch(desk, made["id"], **{"If-None-Match": '"another"'})).content == data
        for asked in ("bytes=9-3", "lines=1-2", "bytes=0-1,5-6", "bytes=-", "bytes=a-b"):
            assert (await fetch(desk, made["id"], Range=asked)).status_code == 200, asked
        same = {"Range": "bytes=0-9", "If-Range": whole.headers["etag"]}
        assert (await fetch(desk, made["id"], **same)).status_code == 206
        for other in ('"another"', "Fri, 27 Nov 2026 09:30:00 GMT"):
            assert (await fetch(desk, made["id"], Range="bytes=0-9", **{"If-Range": other})).content == data

    async def test_a_head_has_the_headers_and_nothing_more(self, desk: Desk) -> None:
        task = await desk.task()
        made = await attached(desk, task["id"], PDF, "a.pdf", media_type="application/pdf")
        address = await address_of(desk, made["id"])
        head, whole = await desk.client.head(address), await desk.client.get(address)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "content-disposition", "content-security-policy"):
            assert head.headers[name] == whole.headers[name]

    async def test_an_empty_file_is_a_file(self, desk: Desk) -> None:
        task = await desk.task()
        made = await attached(desk, task["id"], b"", "empty")
        assert (made["size"], made["media_type"]) == (0, "application/octet-stream")
        whole = await fetch(desk, made["id"])
        assert (whole.status_code, whole.content) == (200, b"")

    @pytest.mark.parametrize(
        ("data", "declared", "found", "shown"),
        [
            (PNG, "image/png", "image/png", "inline"),
            (PNG, "", "image/png", "inline"),
            (PNG, "text/html", "application/octet-stream", "attachment"),
            (b"<html><script>alert(1)</script>", "image/png", "application/octet-stream", "attachment"),
            (b"<html><script>alert(1)</script>", "text/html", "application/octet-stream", "attachment"),
            (b"\xef\xbb\xbf <!doctype html>", "text/plain", "application/octet-stream", "attachment"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "application/octet-stream", "attachment"),
            (b"GIF89a<script>", "text/html", "application/octet-stream", "attachment"),
            (b"a,b\n1,2\n", "text/csv", "text/csv", "attachment"),
            (b"a,b\n1,2\n", "text/html", "application/octet-stream", "attachment"),
            (PDF, "application/pdf", "application/pdf", "attachment"),
            (b"PK\x03\x04rest", "application/epub+zip", "application/epub+zip", "attachment"),
            (b"PK\x03\x04rest", "image/jpeg", "application/octet-stream", "attachment"),
            (b"text", "no type\x00", "text/plain", "attachment"),
            (b"\x00\x01\x02", "text/plain", "application/octet-stream", "attachment"),
        ],
    )
    async def test_a_type_is_what_the_bytes_say(
        self, desk: Desk, data: bytes, declared: str, found: str, shown: str
    ) -> None:
        task = await desk.task()
        made = await attached(desk, task["id"], data, "a.html", media_type=declared)
        assert made["media_type"] == found
        file = await fetch(desk, made["id"])
        assert file.headers["content-type"] == found
        assert file.headers["content-disposition"].startswith(f"{shown};")
        assert file.headers["x-content-type-options"] == "nosniff"
        assert file.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert file.headers["cache-control"] == "private, no-store"

    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ada\\plan.pdf", "plan.pdf"),
            ("e\u0301.txt", "é.txt"),
            ("  a b.txt ", "a b.txt"),
            ('a"b;c.txt', 'a"b;c.txt'),
            ("x" * 251 + ".txt", "x" * 251 + ".txt"),
        ],
    )
    async def test_a_name_is_one_name(self, desk: Desk, given: str, name: str) -> None:
        task = await desk.task()
        assert (await attached(desk, task["id"], name=given))["name"] == name

    @pytest.mark.parametrize(
        "given", ["..", ".", "a/", "a\x85b", "a\x7fb", "gnp\u202e.exe", "x" * 252 + ".txt", "\u2066a"]
    )
    async def test_other_names_are_refused(self, desk: Desk, given: str) -> None:
        task = await desk.task()
        document = problem(await attach(desk, task["id"], name=given), 400, "bad-input")
        assert document["errors"][0]["pointer"] == "/file"


class TestAddresses:
    async def test_an_address_is_for_one_file_one_method_and_a_while(self, desk: Desk) -> None:
        task = await desk.task()
        made, services = await attached(desk, task["id"]), desk.site.services
        address = await address_of(desk, made["id"])
        signed = (await begun(desk, task["id"], PDF)).json()
        assert (await desk.client.put(address, content=b"other text")).status_code == 404
        assert (await desk.client.get(signed["url"])).status_code == 404
        user_id, now = UUID(desk["owner"].user_id), services.clock.now().timestamp()
        old = services.object_links.make("GET", UUID(made["id"]), user_id, now - 301)
        stranger = services.object_links.make("GET", UUID(made["id"]), UUID(desk["stranger"].user_id), now)
        picture = services.object_links.make("IMG", UUID(made["id"]), user_id, now)
        flipped = address[:-2] + ("A" if address[-2] != "A" else "B") + address[-1]
        for other in (old, stranger, picture, flipped, address + "A", "/v1/objects/" + "A" * 100):
            assert (await desk.client.get(other)).status_code == 404, other
        assert (await desk.client.get(address)).status_code == 200


async def test_events_have_the_file_and_the_task_as_it_is(desk: Desk) -> None:
    task = await desk.task("With a file")
    made = await attached(desk, task["id"])
    await desk.delete(f"/v1/attachments/{made['id']}")
    path = f"/v1/teams/{desk.team}/events?after={task['version'] - 1}&limit=3"
    created, added, deleted = (await desk.get(path, Accept="application/json")).json()["items"]
    assert [one["type"] for one in (created, added, deleted)] == [
        "task.created",
        "attachment.added",
        "attachment.deleted",
    ]
    assert added["subject"] == task["id"]
    assert added["data"]["attachment"] == deleted["data"]["attachment"] == made
    assert (added["data"]["previous"], deleted["data"]["previous"]) == (
        {"attachment_count": 0},
        {"attachment_count": 1},
    )
    now = {**created["data"]["task"], "attachment_count": 1, "version": added["seq"], "updated_at": added["time"]}
    assert added["data"]["task"] == now
    assert deleted["data"]["task"] == await task_of(desk, task["id"])
