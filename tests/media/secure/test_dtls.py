"""DTLS handshakes for SRTP in memory: whole, damaged, refused, and who may be at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from cryptography import x509
from OpenSSL import SSL

from media.rtp.stream import Dtls
from media.secure.dtls import MTU, Association, HandshakeFailed, Keys, datagrams, make_context
from media.secure.handshakes import AT_ONCE, LIFETIME_SECONDS, MISMATCH, MOST, Handshakes
from media.secure.identity import HASHES, fingerprint, is_of
from media.secure.srtp import Protector, Unprotector
from media.secure.stun import Address
from media.secure.surroundings import Shared

from .conftest import ELSE, OURS, THEIRS

PACKET = b"\x80\x00\x00\x01\x00\x00\x00\xa0\x00\x00\x00\x07voice"


class Pair:
    """Two associations and the datagrams between them."""

    def __init__(self, client: SSL.Context | None = None, server: SSL.Context | None = None) -> None:
        self.to_server: list[bytes] = []
        self.to_client: list[bytes] = []
        self.client = Association(client or make_context(THEIRS), self.to_server.append, active=True)
        self.server = Association(server or make_context(OURS), self.to_client.append, active=False)

    def run(self) -> None:
        """Hand over what there is until there is no more."""
        while self.to_server or self.to_client:
            for queue, association in ((self.to_server, self.server), (self.to_client, self.client)):
                waiting, queue[:] = queue[:], []
                for datagram in waiting:
                    association.receive(datagram)


@pytest.mark.rfc("5764-4.2", "5764-4.1.2")
def test_both_sides_get_the_same_keys_crosswise() -> None:
    pair = Pair()
    pair.client.start()
    pair.run()
    client, server = pair.client.keys, pair.server.keys
    assert client is not None
    assert server is not None
    assert (client.ours, client.theirs) == (server.theirs, server.ours)
    assert client.ours.material != client.theirs.material
    assert Unprotector(server.theirs).unprotect(Protector(client.ours).protect(PACKET)) == PACKET
    assert client.certificate == OURS.certificate
    assert server.certificate == THEIRS.certificate
    assert client.ours.suite.name == "AEAD_AES_256_GCM"


@pytest.mark.rfc("5764-4.1.2")
def test_a_peer_with_one_profile_gets_that() -> None:
    context = make_context(THEIRS)
    context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    pair = Pair(client=context)
    pair.client.start()
    pair.run()
    assert pair.server.keys is not None
    assert pair.server.keys.ours.suite.name == "AES_CM_128_HMAC_SHA1_80"


@pytest.mark.rfc("5764-4.1")
def test_dtls_that_is_not_for_srtp_is_refused() -> None:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_certificate(x509.load_der_x509_certificate(THEIRS.certificate))
    context.set_verify(SSL.VERIFY_NONE)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    answers: list[bytes] = []
    server = Association(make_context(OURS), answers.append, active=False)
    server.receive(connection.bio_read(4096))
    for answer in answers:
        connection.bio_write(answer)
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    with pytest.raises(HandshakeFailed):
        server.receive(connection.bio_read(4096))


def test_a_peer_without_certificate_is_refused() -> None:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    context.set_verify(SSL.VERIFY_NONE)
    pair = Pair(client=context)
    pair.client.start()
    with pytest.raises(HandshakeFailed):
        pair.run()
    assert pair.server.keys is None


@pytest.mark.rfc("6347-4.1.2.7")
def test_garbage_is_passed_over() -> None:
    pair = Pair()
    pair.client.start()
    for data in (b"\x16", b"\x16\xfe\xfd" + bytes(200), b"\x14" * 50, b"\x17\xfe\xfd" + b"\xff" * 2000):
        pair.server.receive(data)
    pair.run()
    assert pair.server.keys is not None


@pytest.mark.rfc("5764-5.1.2")
def test_the_end_is_told() -> None:
    pair = Pair()
    pair.client.start()
    pair.run()
    pair.client.close()
    pair.run()
    assert pair.server.closed


@pytest.mark.rfc("6347-4.2.4")
async def test_a_lost_flight_is_sent_again_in_its_time() -> None:
    pair = Pair()
    pair.client.start()
    first = pair.to_server.pop()
    seconds = pair.client.deadline()
    assert seconds is not None
    assert 0 < seconds <= 1
    expired = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, expired.set)
    await expired.wait()
    pair.client.expire()
    assert len(pair.to_server) == 1
    assert len(pair.to_server[0]) == len(first)
    pair.run()
    assert pair.server.keys is not None
    assert pair.server.deadline() is None


@pytest.mark.rfc("6347-4.1.1")
def test_flights_are_cut_into_datagrams_between_records() -> None:
    def record(size: int) -> bytes:
        return b"\x16\xfe\xfd" + bytes(8) + size.to_bytes(2, "big") + bytes(size)

    flight = [record(size) for size in (500, 500, 500, 1100, 10, 20)]
    cut = datagrams(b"".join(flight))
    assert b"".join(cut) == b"".join(flight)
    assert [len(each) for each in cut] == [1026, 513, 1169]
    assert max(map(len, cut)) <= MTU


@pytest.mark.rfc("8122-5.1")
def test_a_certificate_is_known_by_the_best_fingerprint() -> None:
    certificate = THEIRS.certificate
    prints = {name: fingerprint(certificate, name) for name in HASHES}
    for text in prints.values():
        assert is_of(certificate, (text,))
        assert is_of(certificate, (text.lower(),))
        assert not is_of(OURS.certificate, (text,))
    assert THEIRS.fingerprint == prints["sha-256"]
    other = fingerprint(OURS.certificate, "sha-512")
    assert not is_of(certificate, (prints["sha-256"], other)), "the better hash decides"
    assert is_of(certificate, (other, prints["sha-512"])), "several of one hash are several certificates"
    assert not is_of(certificate, ("md5 00",))
    assert not is_of(certificate, ())


class Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Place:
    """The surroundings of one leg: timers that a test fires, datagrams by where they go."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Timer]] = []
        self.sent: list[tuple[bytes, Address]] = []
        self.complaints: list[str] = []
        self.failures: list[str] = []
        self.shared = Shared(OURS, self.call_later)
        self.established: list[tuple[Keys, Address]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        self.timers.append((seconds, timer))
        return timer

    def send_raw(self, data: bytes, address: Address) -> None:
        self.sent.append((data, address))

    def changed(self) -> None: ...

    def failed(self, reason: str) -> None:
        self.failures.append(reason)

    def complain(self, reason: str) -> None:
        self.complaints.append(reason)

    def establish(self, keys: Keys, address: Address) -> None:
        self.established.append((keys, address))

    def waiting(self) -> list[float]:
        return [seconds for seconds, timer in self.timers if timer.callback is not None]


def peer(place: Place, handshakes: Handshakes, address: Address, context: SSL.Context) -> Association:
    """Shake hands from this address to the end."""
    association = Association(context, lambda data: handshakes.receive(data, address), active=True)
    association.start()
    while any(where == address for _, where in place.sent):
        sent, place.sent = place.sent, []
        for data, where in sent:
            if where == address:
                association.receive(data)
    return association


@pytest.fixture
def place() -> Place:
    return Place()


def handshakes_of(place: Place, *prints: str, role: str = "passive") -> Handshakes:
    return Handshakes(place, Dtls(role, prints), place.establish, complain=place.complain, checked=False)


@pytest.mark.rfc("5763-5")
def test_the_peer_is_who_has_the_certificate(place: Place) -> None:
    handshakes = handshakes_of(place, THEIRS.fingerprint)
    peer(place, handshakes, ("192.0.2.9", 9), make_context(ELSE))
    assert (place.established, place.failures, handshakes.failures) == ([], [], 1)
    peer(place, handshakes, ("192.0.2.1", 1), make_context(THEIRS))
    ((_, address),) = place.established
    assert address == ("192.0.2.1", 1)
    assert place.waiting() == []


@pytest.mark.rfc("5763-5")
def test_the_declared_peer_with_another_certificate_ends_it(place: Place) -> None:
    handshakes = handshakes_of(place, THEIRS.fingerprint)
    handshakes.begin(("192.0.2.1", 1))
    peer(place, handshakes, ("192.0.2.1", 1), make_context(ELSE))
    assert place.failures == [MISMATCH]


@pytest.mark.rfc("6347-4.2.1")
def test_who_has_not_said_the_cookie_gets_little(place: Place) -> None:
    handshakes = handshakes_of(place, THEIRS.fingerprint)
    hello: list[bytes] = []
    Association(make_context(ELSE), hello.append, active=True).start()
    handshakes.receive(hello[0], ("192.0.2.9", 9))
    ((data, where),) = place.sent
    assert where == ("192.0.2.9", 9)
    assert data[13] == 3  # HelloVerifyRequest
    assert len(data) < len(hello[0])
    assert place.waiting() == [LIFETIME_SECONDS]


def test_only_so_many_shake_hands_at_once_and_the_declared_peer_always_may(place: Place) -> None:
    handshakes = handshakes_of(place, THEIRS.fingerprint)
    handshakes.begin(("192.0.2.1", 1))
    hello: list[bytes] = []
    Association(make_context(ELSE), hello.append, active=True).start()
    for port in range(3 * MOST):
        handshakes.receive(hello[0], ("192.0.2.9", port))
    assert len(place.waiting()) <= AT_ONCE
    assert len({where for _, where in place.sent}) <= MOST
    peer(place, handshakes, ("192.0.2.1", 1), make_context(THEIRS))
    assert len(place.established) == 1


def test_strangers_without_the_cookie_push_nobody_out(place: Place) -> None:
    handshakes = handshakes_of(place, THEIRS.fingerprint)
    peers = ("192.0.2.1", 1)
    client = Association(make_context(THEIRS), lambda data: handshakes.receive(data, peers), active=True)
    client.start()
    (verify, _), place.sent = place.sent[0], []
    client.receive(verify)
    answers, place.sent = [data for data, _ in place.sent], []
    hello: list[bytes] = []
    Association(make_context(ELSE), hello.append, active=True).start()
    for port in range(3 * AT_ONCE):
        handshakes.receive(hello[0], ("192.0.2.9", port))
    for data in answers:
        client.receive(data)
    assert len(place.established) == 1


def test_who_does_not_go_on_is_forgotten(place: Place) -> None:
    handshakes = handshakes_of(place, THEIRS.fingerprint)
    source = ("192.0.2.9", 9)
    silent = Association(make_context(ELSE), lambda data: handshakes.receive(data, source), active=True)
    silent.start()
    silent.receive(place.sent[0][0])
    assert len(place.sent) > 1
    waited = 0.0
    for _ in range(200):
        if not place.waiting():
            break
        seconds, timer = next((s, t) for s, t in place.timers if t.callback is not None)
        waited += seconds
        callback, timer.callback = timer.callback, None
        assert callback is not None
        callback()
    assert waited >= LIFETIME_SECONDS
    assert handshakes.failures == 1
    assert place.complaints == ["A DTLS handshake failed: the peer does not go on with it."]


@pytest.mark.rfc("8842-5.2")
def test_another_fingerprint_wants_another_handshake(place: Place) -> None:
    handshakes = handshakes_of(place, THEIRS.fingerprint)
    peer(place, handshakes, ("192.0.2.1", 1), make_context(THEIRS))
    handshakes.configure(Dtls("passive", (THEIRS.fingerprint,)))
    handshakes.configure(Dtls("passive", (ELSE.fingerprint,)))
    peer(place, handshakes, ("192.0.2.1", 1), make_context(ELSE))
    first, second = (keys for keys, _ in place.established)
    assert first.ours != second.ours
