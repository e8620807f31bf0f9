import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from acd.log import configure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, uvicorn = root.handlers[:], root.level, logging.getLogger("uvicorn").level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn").setLevel(uvicorn)
    structlog.reset_defaults()


def lines(file: io.BytesIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_the_time_in_utc_first() -> None:
    file = io.BytesIO()
    configure("info", "json", file)
    before = datetime.now(UTC)
    structlog.get_logger().bind(call_id="a@b").info("call.queued", queue="billing", position=3)
    (line,) = lines(file)
    assert list(line) == ["time", "level", "event", "call_id", "queue", "position"]
    assert before <= datetime.fromisoformat(str(line.pop("time"))) <= datetime.now(UTC)
    assert line == {"level": "info", "event": "call.queued", "call_id": "a@b", "queue": "billing", "position": 3}


def test_lines_below_the_level_are_left_out() -> None:
    file = io.BytesIO()
    configure("warning", "json", file)
    log = structlog.get_logger()
    log.info("call.queued")
    log.warning("call.lost")
    assert [line["event"] for line in lines(file)] == ["call.lost"]


@pytest.mark.parametrize(
    "value",
    ["\ud800", {1: "one"}, object(), b"\xff", float("nan"), datetime(2025, 1, 1, tzinfo=UTC)],
    ids=["lone surrogate", "number as key", "object", "bytes", "nan", "instant"],
)
def test_any_value_makes_a_line(value: object) -> None:
    file = io.BytesIO()
    configure("info", "json", file)
    structlog.get_logger().info("call.queued", value=value)
    (line,) = lines(file)
    assert line["event"] == "call.queued"
    assert "value" in line


def test_what_breaks_a_line_is_escaped() -> None:
    file = io.BytesIO()
    configure("info", "json", file)
    structlog.get_logger().info("call.queued", caller="a\r\nb\x1b[31m")
    assert file.getvalue().count(b"\n") == 1
    assert b"\x1b" not in file.getvalue()
    assert lines(file)[0]["caller"] == "a\r\nb\x1b[31m"


def test_an_exception_is_told_with_its_traceback() -> None:
    file = io.BytesIO()
    configure("info", "json", file)
    try:
        raise KeyError("gone")  # noqa: TRY301
    except KeyError:
        structlog.get_logger().exception("call.failed")
    (line,) = lines(file)
    assert line["level"] == "error"
    assert "Traceback" in str(line["exception"])
    assert "KeyError: 'gone'" in str(line["exception"])
    assert "exc_info" not in line


def test_libraries_and_warnings_come_out_in_the_same_form() -> None:
    file = io.BytesIO()
    configure("info", "json", file)
    configure("info", "json", file)
    root = logging.getLogger()  # the handlers of pytest raise what ours must survive
    root.handlers[:] = [handler for handler in root.handlers if type(handler).__module__ == "acd.log"]
    logging.getLogger("asyncio").error("took %.1f s", 1.5)
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("library").warning("%d", "no number")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        configure("info", "json", file)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    told = [(line["level"], line["event"], line["logger"], line["message"]) for line in lines(file)]
    assert told[:2] == [
        ("error", "library.logged", "asyncio", "took 1.5 s"),
        ("warning", "library.logged", "library", "%d"),
    ]
    assert told[2][:3] == ("warning", "library.logged", "py.warnings")
    assert len(told) == 3


def test_the_console_form_is_for_people() -> None:
    file = io.BytesIO()
    configure("info", "console", file)
    structlog.get_logger().info("call.queued", queue="billing")
    text = file.getvalue().decode()
    assert "call.queued" in text
    assert "queue=billing" in text
    assert "\x1b" not in text


def test_a_reader_that_went_away_costs_lines_and_nothing_else() -> None:
    file = io.BytesIO()
    writer = configure("info", "json", file)
    log = structlog.get_logger()
    log.info("call.queued")
    file.close()
    log.info("call.queued")
    assert writer.lost == 1


def test_the_console_form_tells_a_timeline_in_words() -> None:
    file = io.BytesIO()
    configure("info", "console", file)
    at = datetime(2025, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    structlog.get_logger().info("call.ended", timeline=[(at, "call.arrived", "10001"), (at, "call.answered", "")])
    told = file.getvalue().decode()
    assert "timeline='12:00:00.250 call.arrived 10001, 12:00:00.250 call.answered'" in told
