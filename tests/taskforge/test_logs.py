"""Logs: one JSON line per record with the context's ids, secrets never, colours for people only."""

import io
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
import structlog

from core.secret import Secret
from taskforge.logs import configure
from taskforge.masking import redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Logging is global: what a test changes must not reach the next one."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    structlog.contextvars.clear_contextvars()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def output() -> io.StringIO:
    stream = io.StringIO()
    configure("info", "json", stream)
    return stream


def records(output: io.StringIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in output.getvalue().splitlines()]


def test_a_record_is_one_line_with_time_level_logger_and_message(output: io.StringIO) -> None:
    logging.getLogger("core.task").info("moved %s\nto %s", "a", "b")
    (record,) = records(output)
    assert list(record) == ["time", "level", "logger", "message"]
    assert record["message"] == "moved a\nto b"
    assert (record["level"], record["logger"]) == ("info", "core.task")
    assert datetime.fromisoformat(record["time"]).tzinfo == UTC
    assert record["time"].endswith("Z")


def test_both_ways_of_logging_carry_what_is_bound_to_the_context(output: io.StringIO) -> None:
    team = UUID(int=7)
    structlog.contextvars.bind_contextvars(request_id="r-1", trace_id="t-1", team_id=team)
    logging.getLogger("lib").warning("theirs", extra={"count": 3})
    structlog.get_logger("ours").info("ours", count=4)
    theirs, ours = records(output)
    for record, count in ((theirs, 3), (ours, 4)):
        assert (record["request_id"], record["trace_id"], record["team_id"]) == ("r-1", "t-1", str(team))
        assert record["count"] == count
    assert list(ours)[:7] == ["time", "level", "logger", "message", "request_id", "trace_id", "team_id"]


def test_an_exception_is_inside_its_line(output: io.StringIO) -> None:
    try:
        raise ValueError("no way to postgresql://user:hunter2@host/db")
    except ValueError:
        logging.getLogger("a").exception("failed")
    (record,) = records(output)
    assert record["level"] == "error"
    assert "ValueError: no way to postgresql://user:***@host/db" in record["exception"]
    assert "hunter2" not in output.getvalue()


def test_less_severe_records_are_left_out(output: io.StringIO) -> None:
    logging.getLogger("a").debug("no")
    structlog.get_logger("a").debug("no")
    logging.getLogger("aiokafka.conn").info("chatter")
    logging.getLogger("aiokafka.conn").warning("trouble")
    assert [record["message"] for record in records(output)] == ["trouble"]


def test_warnings_of_libraries_are_logged(output: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure("info", "json", output)
        warnings.warn("old name", DeprecationWarning, stacklevel=1)
    assert any("old name" in record["message"] for record in records(output))


def test_configuring_again_replaces_the_output(output: io.StringIO) -> None:
    other = io.StringIO()
    configure("info", "json", other)
    logging.getLogger("a").info("once")
    assert output.getvalue() == ""
    assert len(records(other)) == 1


def test_a_terminal_gets_colours_and_a_pipe_does_not() -> None:
    for stream, coloured in ((Terminal(), True), (io.StringIO(), False)):
        configure("info", "console", stream)
        logging.getLogger("a").info("hello", extra={"api_key": "hunter2"})
        assert ("\x1b[" in stream.getvalue()) is coloured
        assert "hello" in stream.getvalue()
        assert "hunter2" not in stream.getvalue()


def test_auto_means_json_for_a_pipe_and_console_for_a_terminal() -> None:
    pipe, terminal = io.StringIO(), Terminal()
    configure("info", "auto", pipe)
    logging.getLogger("a").info("hello")
    configure("info", "auto", terminal)
    logging.getLogger("a").info("hello")
    assert pipe.getvalue().startswith("{")
    assert not terminal.getvalue().startswith("{")


KEYS = (
    "password new_password Authorization cookie set-cookie token refresh_token client_secret api_key apikey X_Api_Key "
    "private_key credentials dsn database_dsn"
)


@pytest.mark.parametrize("key", KEYS.split())
def test_a_field_with_a_telling_name_is_masked(key: str) -> None:
    assert redact({key: "hunter2"}) == {key: "***"}
    assert redact({"inner": [{key: ["hunter2", b"hunter2"]}]}) == {"inner": [{key: "***"}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("valkey://:hunter2@127.0.0.1:6379/0", "valkey://:***@127.0.0.1:6379/0"),
        ("to postgresql://u:p@ss@h/db now", "to postgresql://u:***@h/db now"),
        ("Authorization: Bearer abcdefghijklmnopqrstuvwx", "Authorization: Bearer ***"),
        ("Basic dXNlcjpodW50ZXIyaHVudGVyMg==", "Basic ***"),
        (f"got {JWT}.", "got ***."),
        ("made tfk_00000000000000000000000000000000000000000001cCpBA for ada", "made *** for ada"),
        ("used tfr_" + "aB-_" * 10, "used ***"),
        ("POST /reset?token=hunter2&x=1", "POST /reset?token=***&x=1"),
        ("{'password': 'hunter2', 'n': 1}", "{'password': '***', 'n': 1}"),
    ],
)
def test_a_credential_inside_a_text_is_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    ["https://example.com:8000/a/b", "basic information about bearers", "user@example.com", "http://h/a?b=c", "ENG-42"],
)
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_counts_stay_and_secrets_do_not_whatever_their_name() -> None:
    assert redact({"prompt_tokens": 12, "password_set": True, "token": None}) == {
        "prompt_tokens": 12,
        "password_set": True,
        "token": None,
    }
    assert redact({"value": Secret("hunter2")}) == {"value": "***"}


def test_a_deep_or_odd_value_is_shown_as_text_without_secrets() -> None:
    value: Any = "valkey://:hunter2@h"
    for _ in range(50):
        value = [value]
    assert "hunter2" not in str(redact(value))
    assert redact(b"\xff") == "b'\\xff'"
    assert redact({1: UUID(int=1)}) == {"1": str(UUID(int=1))}
