"""Notifications and their mails over a real SMTP server while the worker is killed: each once, by its `Message-ID`."""

import asyncio
import email
import re
from collections import defaultdict
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.account import Account
from tests.support.mail_sink import Sink
from tests.support.panel import guest_of
from tests.support.system import System
from tests.support.waiting import eventually
from tests.system.test_mail_kills import CLAIM_SECONDS, Killer, mailing

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(420)]

TASKS: Final = 60
EVERY: Final = 15
"""After so many tasks the worker is killed, wherever it is."""
ABOUT: Final = re.compile(r"assigned [A-Z0-9-]+ “Task number (\d+)” to you")

MORE: Final = re.compile(r"And (\d+) more\.")


def tasks_of(sink: Sink) -> dict[str, set[str]]:
    """The ids of the mails about each task, by its number."""
    found = defaultdict[str, set[str]](set)
    for data in list(sink.mails):
        message: Any = email.message_from_bytes(data, policy=SMTP)
        text = str(message.get_body(("plain",)).get_content())
        for number in ABOUT.findall(" ".join(text.split())):
            found[number].add(str(message["Message-ID"]))
    return found


def mailed(sink: Sink) -> int:
    """How many tasks the mails say were given: a long list ends with how many more there are. Repeats count once."""
    totals = {}
    for data in list(sink.mails):
        message: Any = email.message_from_bytes(data, policy=SMTP)
        text = " ".join(str(message.get_body(("plain",)).get_content()).split())
        if ABOUT.search(text):
            more = sum(map(int, MORE.findall(text)))
            totals[str(message["Message-ID"])] = len(set(ABOUT.findall(text))) + more
    return sum(totals.values())


def verified(system: System, sink: Sink, account: Account) -> None:
    """The account has proven its address by the mail that it was sent."""

    def token() -> str:
        for data in list(sink.mails):
            message: Any = email.message_from_bytes(data, policy=SMTP)
            found = re.search(r"verify-email#token=(\S+)", str(message.get_body(("plain",)).get_content()))
            if account.email in str(message["To"]) and found:
                return found[1]
        return ""

    account.call("POST", "/v1/auth/verify-email", token=eventually(token, "the mail to verify has come"))


def play(system: System, sink: Sink) -> None:
    owner, guest = Account(system.url), Account(system.url)
    verified(system, sink, guest)
    team_id = owner.team()
    guest_id = guest_of(owner, guest, team_id, "member")
    sink.at = Killer(system)
    for number in range(1, TASKS + 1):
        owner.call("POST", "/v1/tasks", team_id=team_id, title=f"Task number {number}", assignee_id=guest_id)
        if number % EVERY == 0:
            eventually(lambda: any("taskforge worker" in line for line in system.processes().values()), "it runs")
            system.kill_part("taskforge worker")
    wanted = {str(number) for number in range(1, TASKS + 1)}
    eventually(lambda: mailed(sink) >= TASKS, "every task was mailed", 5 * CLAIM_SECONDS)
    told = [
        item["data"]["title"]
        for item in guest.call("GET", "/v1/me/notifications?limit=100")["items"]
        if item["kind"] == "task.assigned"
    ]
    assert sorted(told) == sorted(f"Task number {number}" for number in wanted), "one row each"
    assert {number: ids for number, ids in tasks_of(sink).items() if len(ids) != 1} == {}, "one mail each"
    assert mailed(sink) == TASKS
    for one in (owner, guest):
        one.http.close()


async def test_a_killed_worker_repeats_no_notification_and_no_mail(services_root: Path, tmp_path: Path) -> None:
    at_once = {"TASKFORGE_MAIL__QUIET_SECONDS": "0", "TASKFORGE_MAIL__WINDOW_SECONDS": "0"}
    with mailing(services_root, tmp_path, **at_once) as (system, sink):
        await asyncio.to_thread(play, system, sink)
