"""A handset with a USIM: its own Milenage, its own look at sequence numbers, its own Digest AKA; no code of ours."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from tests.kit.aes import encrypt

RAND, AUTN = slice(0, 16), slice(16, 32)
SQN, AMF, MAC = slice(0, 6), slice(6, 8), slice(8, 16)


def _xor(*texts: bytes) -> bytes:
    total = bytearray(len(texts[0]))
    for text in texts:
        for at, octet in enumerate(text):
            total[at] ^= octet
    return bytes(total)


class MacFailure(Exception):
    """The network does not know the key (TS 33.102 section 6.3.3)."""


class SynchronisationFailure(Exception):
    """The sequence number is not one to accept; ``auts`` tells which would be."""

    def __init__(self, auts: bytes) -> None:
        super().__init__(auts.hex())
        self.auts = auts


@dataclass
class Usim:
    """A USIM with the sequence numbers it has accepted: an array by IND, as TS 33.102 Annex C.2 has it."""

    k: bytes
    opc: bytes
    jump: int = 1 << 28
    accepted: list[int] = field(default_factory=lambda: [0] * 32)

    def out(self, rand: bytes, number: int, sqn: bytes = b"", amf: bytes = b"") -> bytes:
        """OUT1 to OUT5 of TS 35.206 section 4.1."""
        rotation, constant = {1: (8, 0), 2: (0, 1), 3: (4, 2), 4: (8, 4), 5: (12, 8)}[number]
        temp = encrypt(self.k, _xor(rand, self.opc))
        turned = _xor((sqn + amf + sqn + amf) if number == 1 else temp, self.opc)
        turned = turned[rotation:] + turned[:rotation]
        block = _xor(turned, bytes(15) + bytes([constant]), *([temp] if number == 1 else []))
        return _xor(encrypt(self.k, block), self.opc)

    def authenticate(self, rand: bytes, autn: bytes) -> tuple[bytes, bytes, bytes]:
        """Return RES, CK and IK. Raises ``MacFailure`` and ``SynchronisationFailure``."""
        second = self.out(rand, 2)
        sqn = _xor(autn[SQN], second[:6])
        if self.out(rand, 1, sqn, autn[AMF])[:8] != autn[MAC]:
            raise MacFailure
        seq, ind = divmod(int.from_bytes(sqn, "big"), 32)
        if not (self.accepted[ind] < seq <= max(self.accepted) + self.jump):
            raise SynchronisationFailure(self.auts(rand))
        self.accepted[ind] = seq
        return second[8:], self.out(rand, 3), self.out(rand, 4)

    def auts(self, rand: bytes) -> bytes:
        """The highest sequence number accepted, concealed and signed (6.3.3)."""
        seq = max(self.accepted)
        sqn_ms = (seq * 32 + self.accepted.index(seq)).to_bytes(6, "big")
        return _xor(sqn_ms, self.out(rand, 5)[:6]) + self.out(rand, 1, sqn_ms, bytes(2))[8:]


@dataclass
class Handset:
    """Answers the challenges of Digest AKA with a USIM; ``keys`` are the CK and IK agreed upon last."""

    usim: Usim
    username: str
    cnonce: str = "0a4f113b"
    keys: tuple[bytes, bytes] = (b"", b"")

    def answer(self, challenge: str, method: str = "REGISTER", uri: str = "", *, nc: int = 1, body: bytes = b"") -> str:
        """Return the Authorization value that answers one WWW-Authenticate value."""
        asked = {name.lower(): quoted or token for name, quoted, token in _PARAM.findall(challenge)}
        nonce = base64.b64decode(asked["nonce"])
        auts = ""
        try:
            res, ck, ik = self.usim.authenticate(nonce[RAND], nonce[AUTN])
        except MacFailure:
            return self._written(asked, uri, 'response=""')
        except SynchronisationFailure as failure:
            auts, password = base64.b64encode(failure.auts).decode(), b""
        else:
            self.keys = ck, ik
            password = res
            if asked["algorithm"].lower().startswith("akav2"):
                hashed_by = {"akav2-md5": "md5", "akav2-sha-256": "sha256"}[asked["algorithm"].lower()]
                prf = hmac.new(res + ik + ck, b"http-digest-akav2-password", hashed_by)
                password = base64.b64encode(prf.digest())
        return self.written(asked, method, uri, password, nc=nc, auts=auts, body=body)

    def rand_of(self, nonce: str) -> bytes:
        """The RAND in a nonce."""
        return base64.b64decode(nonce)[RAND]

    def written(
        self, asked: dict[str, str], method: str, uri: str, password: bytes, *, nc: int, auts: str = "", body: bytes
    ) -> str:
        """Return credentials made with ``password`` for the parameters of a challenge."""

        def hashed(*parts: bytes) -> str:
            return hashlib.new(
                "sha256" if "SHA-256" in asked["algorithm"].upper() else "md5", b":".join(parts)
            ).hexdigest()

        qops = asked.get("qop", "").split(",")
        qop = "auth-int" if qops == ["auth-int"] else "auth" if "auth" in qops else ""
        a1 = hashed(self.username.encode(), asked["realm"].encode(), password)
        a2 = [method.encode(), uri.encode(), *([hashed(body).encode()] if qop == "auth-int" else [])]
        middle = [f"{nc:08x}", self.cnonce, qop] if qop else []
        response = hashed(*(part.encode() for part in (a1, asked["nonce"], *middle)), hashed(*a2).encode())
        extra = f', qop={qop}, nc={nc:08x}, cnonce="{self.cnonce}"' if qop else ""
        return self._written(asked, uri, f'response="{response}"{extra}' + (f', auts="{auts}"' if auts else ""))

    def _written(self, asked: dict[str, str], uri: str, rest: str) -> str:
        return (
            f'Digest username="{self.username}", realm="{asked["realm"]}", nonce="{asked["nonce"]}", uri="{uri}", '
            f"algorithm={asked['algorithm']}, {rest}"
        )


_PARAM = re.compile(r'([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')
