"""Whatever a stranger sends to a guarded port: nothing is raised, nothing is heard, and little is remembered."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.rtp.stream import Dtls, Ice, Security
from media.secure import stun
from media.secure.dtls import Association, make_context
from media.secure.guard import Guard
from media.secure.srtp import Protector
from media.secure.stun import Address

from .conftest import CREDENTIALS, ELSE, check, dtls, sdes
from .test_dtls import Place
from .test_srtp import key, rtp

BEFORE = (0, 0, 0, 0)
PEER = ("192.0.2.1", 4000)
HELLO: list[bytes] = []
Association(make_context(ELSE), HELLO.append, active=True).start()
SEEDS = (
    check(),
    check(password="guess"),
    stun.write(stun.BINDING_SUCCESS, b"t" * 12, {}, b"x"),
    HELLO[0],
    Protector(key(seed=9)).protect(rtp(1)),
    Protector(key(seed=9)).protect_rtcp(b"\x80\xc9\x00\x01" + bytes(4)),
    rtp(7),
    bytes(12),
)
SOURCES = st.tuples(st.sampled_from(["192.0.2.8", "192.0.2.9"]), st.integers(1, 65_535))


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """Anything, or something near to what might come."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


def guard_of(security: Security | None, ice: Ice | None) -> tuple[Guard, Place]:
    place = Place()
    guard = Guard(place, BEFORE)
    guard.configure(security, ice, PEER)
    return guard, place


@settings(max_examples=50)
@pytest.mark.parametrize("ice", [None, CREDENTIALS], ids=["", "ice"])
@pytest.mark.parametrize("security", [sdes(), dtls(), Dtls("active", ())], ids=["sdes", "passive", "active"])
@given(received=st.lists(st.tuples(datagrams(), SOURCES), max_size=20))
def test_nothing_of_a_strangers_is_heard(
    security: Security, ice: Ice | None, received: list[tuple[bytes, Address]]
) -> None:
    guard, place = guard_of(security, ice)
    known = {SEEDS[0]} if ice is not None else set()
    for data, source in received:
        remote = guard.remote
        assert guard.receive(data, source) is None
        assert guard.remote == remote or data in known
    assert place.failures == []
    guard.close()


@pytest.mark.rfc("8489-9.1.3", "7983-7")
@pytest.mark.parametrize("security", [sdes(), dtls()], ids=["sdes", "dtls"])
def test_a_flood_from_everywhere_leaves_nothing_behind(security: Security) -> None:
    guard, place = guard_of(security, CREDENTIALS)
    flood = [SEEDS[1], *SEEDS[2:], b"\x16\xfe\xfd", b"\x00\x01", b""]

    def wave(number: int) -> None:
        for port in range(1, 150):
            for data in flood:
                assert guard.receive(data, (f"198.51.100.{number}", port)) is None
        place.sent.clear()

    wave(1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2, 6):
            wave(number)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000
    assert len(place.complaints) <= 1
    assert not guard.ready or guard.remote is None
