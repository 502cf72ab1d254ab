"""Which requests get a line in the log, and what it says."""

import logging
from typing import Any

import pytest

from api.app import create_app
from api.calls import Call
from api.reads import Reads
from api.request_log import MOST_LINES, AccessLine, AccessLines, RequestLog
from api.settings import AccessLog, HttpSettings
from tests.api.test_app import call
from tests.support.desk import Desk
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


def lines(caplog: pytest.LogCaptureFixture) -> list[AccessLine]:
    """All that was said about requests."""
    return [line for record in caplog.records if isinstance(record, AccessLines) for line in record.lines]


def a_call(path: str = "/v1/me") -> Call:
    scope: dict[str, Any] = {"headers": [], "method": "GET", "raw_path": path.encode(), "query_string": b"q=hunter2"}
    call = Call(scope, None, None, 1024, 1)  # type: ignore[arg-type]
    call.route, call.request_id = path, b"r-1"
    return call


@pytest.mark.parametrize(
    ("wanted", "status", "seconds", "level"),
    [
        ("problems", 200, 0.1, None),
        ("problems", 304, 0.1, None),
        ("problems", 404, 0.1, logging.INFO),
        ("problems", 503, 0.1, logging.WARNING),
        ("problems", 200, 2.0, logging.WARNING),
        ("all", 200, 0.1, logging.INFO),
        ("all", 200, 2.0, logging.WARNING),
        ("all", 500, 0.1, logging.WARNING),
        ("off", 200, 2.0, None),
        ("off", 500, 2.0, None),
    ],
)
async def test_the_settings_say_who_gets_a_line_and_how_loud(
    caplog: pytest.LogCaptureFixture, wanted: AccessLog, status: int, seconds: float, level: int | None
) -> None:
    log = RequestLog(HttpSettings(access_log=wanted, slow_seconds=1.0))
    caplog.set_level(logging.DEBUG)
    if status >= log.status or seconds >= log.seconds:
        log.write(a_call(), status, seconds)
        log.flush()
    assert [record.levelno for record in caplog.records] == ([] if level is None else [level])
    if level is not None:
        (line,) = lines(caplog)
        assert (line.logger, line.level) == ("taskforge.access", logging.getLevelName(level).lower())
        assert (line.ms, line.status, line.slow) == (seconds * 1000, status, seconds >= 1.0)
        assert line.team_id == ""


async def test_what_goes_well_waits_for_company_and_what_does_not_comes_after_it_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = RequestLog(HttpSettings(access_log="all"))
    caplog.set_level(logging.INFO)
    for path in ("/v1/one", "/v1/two"):
        log.write(a_call(path), 200, 0.1)
    assert not caplog.records
    log.write(a_call("/v1/three"), 404, 0.1)
    assert [line.route for line in lines(caplog)] == ["/v1/one", "/v1/two", "/v1/three"]
    log.write(a_call("/v1/four"), 200, 0.1)
    await until(lambda: len(lines(caplog)) == 4)
    for _ in range(MOST_LINES):
        log.write(a_call(), 200, 0.1)
    assert len(lines(caplog)) == 4 + MOST_LINES


async def test_probes_leave_a_line_only_when_something_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    """The newcomer's terminal was filled by the supervisor's own look at `/healthz`, every five seconds."""
    log = RequestLog(HttpSettings(access_log="all", slow_seconds=1.0))
    caplog.set_level(logging.INFO)
    log.write(a_call("/healthz"), 200, 0.1)
    log.write(a_call("/readyz"), 503, 0.1)
    log.write(a_call("/metrics"), 200, 1.5)
    log.flush()
    assert [(line.route, line.status) for line in lines(caplog)] == [("/readyz", 503), ("/metrics", 200)]


@pytest.mark.anyio
async def test_a_mistake_in_the_reads_from_memory_is_logged_and_answered_the_ordinary_way(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(Reads, "answer", broken)
    answer = await desk.get(f"/v1/teams/{desk.team}/board", **{"X-Request-ID": "mine-3"})
    assert answer.status_code == 200
    (record,) = [record for record in caplog.records if record.name == "api.edge"]
    assert (record.message, record.__dict__["request_id"]) == ("a read from memory failed", "mine-3")
    assert record.exc_info is not None


@pytest.mark.anyio
async def test_a_listener_can_log_every_request(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.site.services, "http", HttpSettings(access_log="all"))
    monkeypatch.setattr(desk, "app", create_app(desk.site.services))
    await desk.app.start()
    caplog.set_level(logging.INFO)
    for path in ("/openapi.json", f"/v1/teams/{desk.team}/board"):
        assert (await call(desk, path)).status == 200
    await until(lambda: len(lines(caplog)) == 2)
    assert [(line.method, line.route, line.team_id) for line in lines(caplog)] == [
        ("GET", "/openapi.json", ""),
        ("GET", "/v1/teams/{uuid:team_id}/board", desk.team),
    ]
