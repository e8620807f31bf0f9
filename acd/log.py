r"""One line for each thing that happened, as JSON for machines or coloured for people.

    configure("info", "json")
    log = structlog.get_logger().bind(call_id=call.id)
    log.info("call.queued", queue="billing", position=3)

    {"time":"2025-03-01T12:00:00.123456Z","level":"info","event":"call.queued","call_id":"...", ...}

Lines of other libraries (standard logging, warnings) come out in the same form as `library.logged`. A reader of the
log that went away costs lines, never a call.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, Literal

import msgspec
import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Thrift:
    """Keeps what strangers have us log from filling the log: ``lines`` a minute, the rest counted as ``omitted``."""

    def __init__(self, clock: Callable[[], float], lines: int, omitted: str) -> None:
        self._clock = clock
        self._most = lines
        self._omitted = omitted
        self._since = clock()
        self._lines = 0

    def allows(self) -> bool:
        """Whether one more line may be written; asked once for each."""
        now = self._clock()
        if now - self._since >= 60.0:
            if self._lines > self._most:
                structlog.get_logger().warning(self._omitted, count=self._lines - self._most)
            self._since, self._lines = now, 0
        self._lines += 1
        return self._lines <= self._most


class LineWriter:
    """Writes finished lines into a binary file; what cannot be written is counted in `lost`."""

    def __init__(self, file: IO[bytes]) -> None:
        self.lost = 0
        self._file = file
        self._lock = threading.Lock()

    def msg(self, line: bytes | str) -> None:
        """Write one line."""
        data = line if isinstance(line, bytes) else line.encode(errors="backslashreplace")
        try:
            with self._lock:
                self._file.write(data + b"\n")
                self._file.flush()
        except (OSError, ValueError):  # nobody reads, or the file is closed
            self.lost += 1

    debug = info = warning = error = critical = exception = msg


def render_json(_logger: object, method: str, event: structlog.typing.EventDict) -> bytes:
    """Render a line as JSON, the last processor; time, level and event come first."""
    line = {"time": _now(), "level": _LEVEL_OF.get(method, method), "event": event.pop("event", "")}
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(_logger, method, event)
    line.update(event)
    try:
        return _ENCODER.encode(line)
    except (TypeError, ValueError, UnicodeError):  # keys that are no text, lone surrogates, cycles
        return json.dumps({str(key): str(value) for key, value in line.items()}).encode()


_ENCODER = msgspec.json.Encoder(enc_hook=str)
_LEVEL_OF = {"exception": "error", "warn": "warning", "fatal": "critical"}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _add_time(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["timestamp"] = _now()
    return event


def _tell_lists(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Write lists, as the timeline of a call, the way people read them."""
    for key, value in event.items():
        if isinstance(value, list | tuple):
            event[key] = ", ".join(map(_told, value))
    return event


def _told(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%H:%M:%S.%f")[:-3]
    if isinstance(value, list | tuple):
        return " ".join(filter(None, map(_told, value)))
    return str(value)


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["json", "console"] = "json",
    file: IO[bytes] | None = None,
) -> LineWriter:
    """Set up the log of this process, by default into standard output, and return its writer."""
    writer = LineWriter(sys.stdout.buffer if file is None else file)
    processors: list[structlog.typing.Processor]
    if form == "json":
        processors = [render_json]
    else:
        colors = file is None and sys.stdout.isatty()
        processors = [
            structlog.processors.add_log_level,
            _add_time,
            _tell_lists,
            structlog.dev.ConsoleRenderer(colors=colors),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    _route_libraries(LEVELS[level])
    return writer


class _Forward(logging.Handler):
    """Hands the records of standard logging to structlog."""

    def __init__(self) -> None:
        super().__init__()
        self._log = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        details: dict[str, Any] = {"logger": record.name}
        try:
            details["message"] = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit the format
            details["message"] = str(record.msg)
        if record.exc_info:
            details["exc_info"] = record.exc_info
        level = max(known for known in (10, 20, 30, 40, 50) if known <= max(record.levelno, 10))
        self._log.log(level, "library.logged", **details)


def _route_libraries(level: int) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Forward)]:
        root.removeHandler(handler)
    root.addHandler(_Forward())
    root.setLevel(max(level, logging.INFO))
    # its start and end are told by ours, and any stranger's garbage would be a warning
    logging.getLogger("uvicorn").setLevel(max(level, logging.ERROR))
    logging.captureWarnings(capture=True)
