from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from acd.cdr import Cdr, EndedBy, Outcome, Quality, Step

NOON = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def cdr(**changes: object) -> Cdr:
    fields: dict[str, object] = {
        "id": "c1",
        "call_id": "abc@127.0.0.1",
        "dialled": "10001",
        "caller": "alice",
        "arrived": NOON,
        "ended": NOON + timedelta(seconds=60),
        "ended_by": EndedBy.CALLER,
        "outcome": Outcome.ANSWERED,
    }
    return Cdr(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("queued", "connected", "waited", "talked"),
    [
        (None, None, 0.0, 0.0),
        (10, None, 50.0, 0.0),
        (10, 12.3456, 2.346, 47.654),
        (None, 20, 0.0, 40.0),
    ],
)
def test_waited_and_talked_follow_from_the_instants(
    queued: float | None, connected: float | None, waited: float, talked: float
) -> None:
    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else NOON + timedelta(seconds=seconds)

    record = cdr(queued=at(queued), connected=at(connected), waited_seconds=99.0, talked_seconds=99.0)
    assert (record.waited_seconds, record.talked_seconds) == (waited, talked)


def test_a_record_goes_through_json_unchanged() -> None:
    record = cdr(
        queued=NOON, quality_caller=Quality(mos=4.4, basis="G.107"), timeline=(Step(NOON, "call.queued", "x"),)
    )
    text = msgspec.json.encode(record)
    assert msgspec.json.decode(text, type=Cdr) == record
    assert b'"arrived":"2025-03-01T12:00:00Z"' in text
    assert b'"outcome":"answered"' in text
