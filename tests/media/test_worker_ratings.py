"""How a worker rates what it hears: on the scale of the codec, with the delay of its jitter buffer."""

import pytest

from media.codecs.amr_payload import AMR_WB, Content, Frame, pack
from media.codecs.names import AMR_WB as AMR_WB_NAME
from media.rtp.stream import Format
from media.worker import control

from .conftest import Bench, stream, until


@pytest.mark.parametrize(("mode", "octets", "rating"), [(2, 32, 116.0), (8, 60, 121.0)])
@pytest.mark.parametrize("parameters", ["octet-align=1", ""])
async def test_amr_wb_by_the_mode_that_was_heard(
    bench: Bench, mode: int, octets: int, rating: float, parameters: str
) -> None:
    wide = Format(97, AMR_WB_NAME, 16_000, 1, parameters)
    phones, legs = [], []
    for _ in range(2):
        phones.append(bench.phone())
        legs.append(bench.open(stream(phones[-1].port, send=wide, receive={97: wide})))
    bench.handle(control.Bridge(legs[0][0], legs[1][0], None))
    payload = pack(Content(None, (Frame(mode, True, bytes(octets)),)), AMR_WB, octet_align=bool(parameters))
    session = bench.worker._sessions[legs[0][0]]
    for count in range(1, 6):
        phones[0].send(legs[0][1], payload, payload_type=97)
        await until(lambda count=count: session.reception.received == count)  # type: ignore[misc]
    bench.handle(control.Close(legs[0][0]))
    (closed,) = bench.of(control.Closed)
    assert (closed.report.codec, closed.report.scale, closed.report.r_factor) == ("AMR-WB", "wideband", rating)
    assert closed.report.mos == 4.5 if rating >= 129 else 4.3 < closed.report.mos <= 4.5


async def test_what_is_mixed_is_rated_with_concealment_and_the_jitter_buffers_delay(bench: Bench) -> None:
    phone, leg, port = bench.leg()
    _, other, _ = bench.leg()
    bench.handle(control.Bridge(leg, other, None), control.Adjust(other, 0.5, 1.0))
    session = bench.worker._sessions[leg]
    for count in range(1, 4):
        phone.send(port)
        await until(lambda count=count: session.reception.received == count)  # type: ignore[misc]
    assert session.decoding is not None
    bench.worker.heartbeat()
    bench.handle(control.Close(leg))
    (closed,) = bench.of(control.Closed)
    assert "G.711 with concealment" in closed.report.basis
    assert "jitter buffer measured" in closed.report.basis


@pytest.mark.parametrize(("codec", "payload"), [("G722", 9), ("opus", 96)])
async def test_codecs_without_published_values_are_unknown(bench: Bench, codec: str, payload: int) -> None:
    wide = Format(payload, codec, 48_000 if codec == "opus" else 8000, 2 if codec == "opus" else 1)
    phone = bench.phone()
    leg, port = bench.open(stream(phone.port, send=wide, receive={payload: wide}))
    phone.send(port, bytes(160), payload_type=payload)
    session = bench.worker._sessions[leg]
    await until(lambda: session.reception.received == 1)
    bench.handle(control.Close(leg))
    (closed,) = bench.of(control.Closed)
    assert (closed.report.r_factor, closed.report.mos, closed.report.scale) == (None, None, None)
    assert closed.report.basis == "no published planning value for the codec"
