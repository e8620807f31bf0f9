"""The authentication centre: vectors for those whose keys are here (TS 33.102 section 6.3)."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from ims_core.security.milenage import BLOCK, Milenage, opc_of, xor
from ims_core.subscribers.subscriber import Aka, Answer, Vector

if TYPE_CHECKING:
    from ims_core.subscribers.sequence import SequenceNumbers

SQN_LENGTH = 6
AMF_LENGTH = 2
AUTS_LENGTH = 14
_TRIES = 10
_AMF_OF_AUTS = bytes(AMF_LENGTH)  # 6.3.3: "a dummy value of all zeros so that it does not need to be transmitted"


class AuthenticationCentre:
    """Makes vectors and judges what USIMs say of them.

    ``random_bytes`` returns as many bytes of chance as it is asked for: ``os.urandom`` in production.
    """

    def __init__(self, sequence: SequenceNumbers, random_bytes: Callable[[int], bytes]) -> None:
        self._sequence = sequence
        self._random_bytes = random_bytes

    def vector(self, private: str, aka: Aka, now: float) -> Vector:
        """Return a fresh vector (6.3.2), with a response that is no shorter when taken for a string of C.

        One in 32 would be, and SIPp and whoever else hashes it as far as its first zero would answer wrong.
        """
        sqn = self._sequence.take(private, now)
        vector = make_vector(aka, self._random_bytes(BLOCK), sqn)
        for _ in range(_TRIES):
            if 0 not in vector.answer.res:
                break
            vector = make_vector(aka, self._random_bytes(BLOCK), sqn)
        return vector

    def answer(self, aka: Aka, rand: bytes) -> Answer:
        """Return what the USIM with these keys makes of ``rand``."""
        outputs = Milenage(aka.k, aka.opc).f2345(rand)
        return Answer(outputs.res, outputs.ck, outputs.ik)

    def resynchronise(self, private: str, aka: Aka, rand: bytes, auts: bytes, now: float) -> bool:
        """Take over the SQN in AUTS, if the USIM with these keys made it for ``rand`` (6.3.5)."""
        if len(auts) != AUTS_LENGTH:
            return False
        milenage = Milenage(aka.k, aka.opc)
        sqn_ms = xor(auts[:SQN_LENGTH], milenage.f5_star(rand))
        if not hmac.compare_digest(milenage.f1_star(rand, sqn_ms, _AMF_OF_AUTS), auts[SQN_LENGTH:]):
            return False
        return self._sequence.resynchronise(private, sqn_ms, now)


class HasKeys(ABC):
    """What a source of ``Subscribers`` says of vectors, when it has the keys itself."""

    def __init__(self, centre: AuthenticationCentre) -> None:
        self._centre = centre

    def vector(self, private: str, now: float) -> Vector | None:
        """See ``Subscribers``."""
        keys = self._keys(private)
        return None if keys is None else self._centre.vector(private, keys, now)

    def answer(self, private: str, rand: bytes) -> Answer | None:
        """See ``Subscribers``."""
        keys = self._keys(private)
        return None if keys is None else self._centre.answer(keys, rand)

    def resynchronise(self, private: str, rand: bytes, auts: bytes, now: float) -> bool:
        """See ``Subscribers``."""
        keys = self._keys(private)
        return keys is not None and self._centre.resynchronise(private, keys, rand, auts, now)

    @abstractmethod
    def _keys(self, private: str) -> Aka | None:
        """Return the keys of a subscriber, None for who has none here."""


def make_vector(aka: Aka, rand: bytes, sqn: bytes) -> Vector:
    """Return the vector for a RAND of 16 bytes and an SQN of 6 (6.3.2)."""
    milenage = Milenage(aka.k, aka.opc)
    res, ck, ik, ak = milenage.f2345(rand)
    autn = xor(sqn, ak) + aka.amf + milenage.f1(rand, sqn, aka.amf)
    return Vector(rand, autn, Answer(res, ck, ik))


def aka(k: str, *, op: str = "", opc: str = "", amf: str = "0000", algorithms: tuple[str, ...] = ()) -> Aka:
    """Return the keys that hexadecimal texts name, with either ``op`` or ``opc``.

    Raises ``ValueError`` that says which one is wrong, without telling any key.
    """
    if bool(op) == bool(opc):
        raise ValueError("expected either op or opc")
    key = _octets("k", k, BLOCK)
    constant = opc_of(key, _octets("op", op, BLOCK)) if op else _octets("opc", opc, BLOCK)
    return Aka(key, constant, _octets("amf", amf, AMF_LENGTH), algorithms)


def _octets(name: str, text: str, length: int) -> bytes:
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        octets = b""
    if len(octets) != length:
        raise ValueError(f"expected {name} of {2 * length} hexadecimal digits")
    return octets
