"""A worker with a certificate, and phones that speak SRTP, shake hands and make ICE checks."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from media.rtp.stream import Dtls, Ice, Sdes
from media.secure import stun
from media.secure.dtls import Association, make_context
from media.secure.identity import Identity, make_identity
from media.secure.srtp import SUITES, Key, Protector, Unprotector
from media.secure.stun import Address
from media.secure.surroundings import Shared
from tests.media.conftest import Bench, Phone

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
SUITE = "AES_CM_128_HMAC_SHA1_80"


def identity(serial: int) -> Identity:
    return make_identity(NOW, serial)


OURS, THEIRS, ELSE = (identity(serial) for serial in (1, 2, 3))
TRANSACTIONS = itertools.count(1 << 90)
CREDENTIALS = Ice("ours", "o" * 22, "theirs", "t" * 22)


def material(seed: int, name: str = SUITE) -> bytes:
    return random.Random(seed).randbytes(SUITES[name].length)


def sdes(ours: int = 1, theirs: int = 2, name: str = SUITE, mki: bytes = b"") -> Sdes:
    return Sdes(name, material(ours, name), material(theirs, name), mki)


def dtls(role: str = "passive", who: Identity = THEIRS) -> Dtls:
    return Dtls(role, (who.fingerprint,))


class SecurePhone:
    """What a phone adds to a plain one to speak with a secured leg on `port`."""

    def __init__(self, phone: Phone, port: int, who: Identity = THEIRS) -> None:
        self.phone = phone
        self.port = port
        self.who = who
        self.protector: Protector | None = None
        self.unprotector: Unprotector | None = None
        self.association: Association | None = None
        self.answers: list[stun.Message] = []
        self.heard: list[bytes] = []
        self._read = 0

    def use(self, agreed: Sdes) -> None:
        """Take keys as they are in the descriptions."""
        suite = SUITES[agreed.suite]
        ours, theirs = Key(suite, agreed.receive_key, agreed.receive_mki), Key(suite, agreed.send_key)
        if self.protector is None or self.unprotector is None:
            self.protector, self.unprotector = Protector(ours), Unprotector(theirs)
        else:
            self.protector.rekey(ours)
            self.unprotector.rekey(theirs)

    def say(self, payload: bytes = b"\x55" * 160, times: int = 1) -> None:
        """Send protected packets."""
        assert self.protector is not None
        for _ in range(times):
            packet = self.phone.header(0) + payload
            self.phone.sequence = (self.phone.sequence + 1) & 0xFFFF
            self.phone.timestamp += 160
            self.raw(self.protector.protect(packet))

    def raw(self, data: bytes) -> None:
        self.phone.raw(self.port, data)

    def begin(self, *, active: bool = True) -> None:
        """Shake hands."""
        self.association = Association(make_context(self.who), self.raw, active=active)
        if active:
            self.association.start()

    def check(
        self, credentials: Ice = CREDENTIALS, *, nominate: bool = True, more: dict[int, bytes] | None = None
    ) -> None:
        """Make an ICE check."""
        self.raw(check(credentials, nominate=nominate, more=more))

    def read(self) -> list[bytes]:
        """Take what has come; returns the plain packets heard so far."""
        received = self.phone.read()
        for data in received[self._read :]:
            if data[0] < 4:
                self.answers.append(stun.read(data))
            elif 20 <= data[0] < 64:
                assert self.association is not None
                self.association.receive(data)
                keys = self.association.keys
                if keys is not None and self.protector is None:
                    self.protector, self.unprotector = Protector(keys.ours), Unprotector(keys.theirs)
            elif not 192 <= data[1] < 224:
                assert self.unprotector is not None
                self.heard.append(self.unprotector.unprotect(data))
        self._read = len(received)
        return self.heard

    @property
    def secured(self) -> bool:
        """Whether there are keys."""
        self.read()
        return self.protector is not None


def check(
    credentials: Ice = CREDENTIALS,
    *,
    nominate: bool = True,
    more: dict[int, bytes] | None = None,
    password: str | None = None,
    transaction: bytes | None = None,
) -> bytes:
    """Return a Binding request as a controlling agent makes it."""
    attributes = {
        stun.USERNAME: f"{credentials.local_ufrag}:{credentials.remote_ufrag}".encode(),
        stun.PRIORITY: (1 << 24).to_bytes(4, "big"),
        stun.ICE_CONTROLLING: bytes(8),
        **({stun.USE_CANDIDATE: b""} if nominate else {}),
        **(more or {}),
    }
    transaction = next(TRANSACTIONS).to_bytes(12, "big") if transaction is None else transaction
    key = (credentials.local_pwd if password is None else password).encode()
    return stun.write(stun.BINDING_REQUEST, transaction, attributes, key)


Source = Address
Later = Callable[[float, Callable[[], None]], object]


@pytest.fixture
async def secured(bench: Bench) -> Bench:
    """The worker of `bench` with a certificate."""
    bench.worker.shared = Shared(OURS, asyncio.get_running_loop().call_later)
    return bench


def secured_leg(bench: Bench, **changes: Any) -> tuple[SecurePhone, int]:
    """Open a leg towards a new phone."""
    phone, number, port = bench.leg(**changes)
    return SecurePhone(phone, port), number
