"""Structured logs on standard error: JSON lines for machines, colours for people, secrets for nobody.

Everything goes through the standard library's root logger, so libraries' records have the same shape as ours. While a
request is answered, every record has its `request_id` and the client's address, and trace, user and team once they are
known; what is bound in `structlog.contextvars` appears in every record of that context.
"""

import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from api.request_ids import REQUEST
from api.request_log import AccessLine, AccessLines
from taskforge.masking import redact

__all__ = ["Format", "configure"]

Format = Literal["auto", "json", "console"]

ORDER = ("time", "level", "logger", "message", "request_id", "trace_id", "user_id", "team_id", "client")

_OF_THE_RECORD = frozenset({"time", "level", "logger", "message"})

# Loggers that speak at info about every connection or request; theirs is noise unless debugging.
CHATTY = ("aiokafka", "faststream", "asyncio", "httpx", "httpcore")


def configure(level: str = "info", format: Format = "auto", stream: TextIO | None = None) -> None:  # noqa: A002
    """Make this process log at `level` (debug, info, warning, error) to `stream`, standard error by default.

    `auto` is `console` on a terminal and `json` elsewhere. May be called again: the last call wins.
    """
    output = sys.stderr if stream is None else stream
    colours = output.isatty()
    console = format == "console" or (format == "auto" and colours)
    shared = _shared(console=console)
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_last(console, colours)]
    handler = logging.StreamHandler(output)
    formatter = _ColouredLines if console else _JsonLines
    handler.setFormatter(formatter(processors=last, foreign_pre_chain=shared))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "debug" else logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook, threading.excepthook = _uncaught, _uncaught_in_thread
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class _JsonLines(structlog.stdlib.ProcessorFormatter):
    """Lines about requests take a short way: the long one costs more than many a request itself."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record, AccessLines):
            return b"\n".join([msgspec.json.encode(line) for line in record.lines]).decode()
        return super().format(record)


class _ColouredLines(structlog.stdlib.ProcessorFormatter):
    """For people: each of the lines about requests that come together is one of its own."""

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record, AccessLines):
            return super().format(record)
        return "\n".join([super(_ColouredLines, self).format(_alone(record, line)) for line in record.lines])


def _alone(record: AccessLines, line: AccessLine) -> logging.LogRecord:
    alike = {name: value for name, value in vars(record).items() if name != "lines"}
    shown = {name: value for name, value in msgspec.to_builtins(line).items() if name not in _OF_THE_RECORD}
    return logging.makeLogRecord({**alike, "created": line.time.timestamp(), **shown})


def _shared(*, console: bool) -> list[Processor]:
    return [
        _add_request,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if console else "iso", utc=not console, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _add_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Not bound in structlog's variables: to bind and to reset them costs ten times as much, and every request pays."""
    request = REQUEST.get(None)
    if request is not None:
        event.setdefault("request_id", request.request_id.decode())
        known = {"trace_id": request.trace_id, "team_id": request.team.decode(), "client": request.client}
        if request.user_id is not None:
            known["user_id"] = str(request.user_id)
        for name, value in known.items():
            if value:
                event.setdefault(name, value)
    return event


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught is a record as well: Python's own text would be a line for each line of the traceback."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("taskforge").critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _last(console: bool, colours: bool) -> list[Processor]:
    if console:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
        return [_redact_event, renderer]
    return [_redact_event, _name_fields, structlog.processors.JSONRenderer(serializer=_encode)]


def _name_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`message` instead of structlog's `event`, and what everybody looks for first in front."""
    event["message"] = event.pop("event", "")
    front = {key: event.pop(key) for key in ORDER if key in event}
    return {**front, **event}


def _encode(event: MutableMapping[str, Any], **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: redact(value, key) for key, value in event.items()}
