"""What a first hop tells the registrar of how a REGISTER came, and takes out of its challenge (TS 24.229 5.2.2).

The Authorization of a handset goes on with ``integrity-protected``, which only its first hop may say:

    came by           and its sender      "yes"            an IPsec association
    TLS               is registered so    "tls-yes"        else, with an answer to a challenge, "tls-pending"
    an address        is registered so    "ip-assoc-yes"   else, with an answer to a challenge, "ip-assoc-pending"

Who authenticates by AKA is protected by IPsec or not at all: without an answer "no", and never one of the other "yes".
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.errors import BadRequest
from ims_core.messages.headers import split_values
from ims_core.security.params import digest_of

if TYPE_CHECKING:
    from ims_core.messages.message import Request, Response

PARAMETER: Final = "integrity-protected"
_KEYS: Final = ("ck", "ik")


class Credentials(NamedTuple):
    """The first Digest credentials of a REGISTER: who sends it, whether by AKA, and whether he answers a challenge.

    ``resynchronises``: his USIM did not like the challenge (RFC 3310 section 3.4).
    """

    private: str = ""
    by_aka: bool = False
    answers: bool = False
    resynchronises: bool = False


class Keys(NamedTuple):
    """The keys that a challenge of AKA brings to the first hop, empty where there are none (TS 24.229 7.2A.2)."""

    ck: bytes = b""
    ik: bytes = b""


def credentials_of(request: Request) -> Credentials:
    """Read the credentials; of what is no Digest nothing is read."""
    for value in request.whole_values("Authorization"):
        told = digest_of(value)
        if told is not None:
            is_aka = told.get("algorithm", "").upper().startswith("AKA")
            answers, resynchronises = bool(told.get("response", "")), bool(told.get("auts", ""))
            return Credentials(told.get("username", ""), is_aka, answers, resynchronises)
    return Credentials()


def mark_integrity(request: Request, word: str) -> None:
    """Have the credentials of a REGISTER that goes on say how it came; an empty word, or a handset's own: nothing.

    Raises ``BadRequest`` for credentials that say so where it cannot be taken off for sure.
    """
    values = request.whole_values("Authorization")
    if not values:
        return
    request.remove("Authorization")
    for value in values:
        told = value
        if PARAMETER in value.lower():
            told = _without(value, (PARAMETER,))
            if PARAMETER in told.lower():  # in a place where others might read it for what it is not
                raise BadRequest("Malformed Authorization")
        if word and value[:6].lower() == "digest":
            told = f'{told}, {PARAMETER}="{word}"'
        request.add("Authorization", told)


def integrity(
    credentials: Credentials, *, is_secure: bool, is_registered: bool, by_aka: bool, is_associated: bool
) -> str:
    """Return the word for a REGISTER that came by TLS (``is_secure``) or not, from who ``is_registered`` by that flow.

    ``by_aka``: he was by AKA. ``is_associated``: it came through an IPsec association.
    """
    if is_associated:
        return "yes"
    kind = "tls" if is_secure else "ip-assoc"
    if credentials.by_aka or (is_registered and by_aka):
        return f"{kind}-pending" if credentials.answers else "no"
    if is_registered:
        return f"{kind}-yes"
    return f"{kind}-pending" if credentials.answers else ""


def take_keys(response: Response) -> Keys:
    """Take the keys off the challenges of a 401: "the P-CSCF shall remove the CK and IK values"."""
    values = response.whole_values("WWW-Authenticate")
    found: dict[str, str] = {}
    left = []
    for value in values:
        told = digest_of(value) or {}
        found.update({name: told[name] for name in _KEYS if name in told})
        left.append(value if told.keys().isdisjoint(_KEYS) else _without(value, _KEYS))
    if found:
        response.remove("WWW-Authenticate")
        for value in left:
            response.add("WWW-Authenticate", value)
    return Keys(*(_bytes(found.get(name, "")) for name in _KEYS))


def is_stale(response: Response) -> bool:
    """Whether a challenge says that only the nonce was wrong (RFC 7616 section 3.3)."""
    challenges = map(digest_of, response.whole_values("WWW-Authenticate"))
    return any(told is not None and told.get("stale", "").lower() == "true" for told in challenges)


def _without(value: str, names: Container[str]) -> str:
    """Return Digest credentials, or a challenge, without the parameters of these names."""
    scheme, _, params = value.replace("\t", " ").partition(" ")
    kept = [param for param in split_values(params) if param.partition("=")[0].strip().lower() not in names]
    return f"{scheme} {', '.join(kept)}"


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
