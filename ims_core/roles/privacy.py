"""What a message tells of people who do not want to be known, where it leaves the trust domain (RFC 3323, RFC 3325).

``id`` is about the asserted identity, ``user`` about what the user agent has written of its user, ``history`` about
where the request has been before. For ``header`` and ``session`` a network has to stand between the two ends: they are
left to a service that does so, and refused where the sender will have them or nothing (``critical``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from ims_core.errors import SipError
from ims_core.messages.headers import parse_name_addr

if TYPE_CHECKING:
    from ims_core.messages.message import Message, Request

ANONYMOUS: Final = '"Anonymous" <sip:anonymous@anonymous.invalid>'
_ASSERTED: Final = frozenset(("p-asserted-identity", "remote-party-id"))
_OF_USER: Final = frozenset(
    ("subject", "call-info", "organization", "user-agent", "server", "reply-to", "in-reply-to", "referred-by")
)
_HISTORY: Final = frozenset(("history-info",))
_DONE: Final = frozenset(("user", "history"))  # RFC 3323 5: a service takes off what it has done
_NOT_DONE: Final = frozenset(("header", "session"))
_NOTHING: Final[frozenset[str]] = frozenset()


class PrivacyUnavailable(SipError):
    """The sender demands privacy that cannot be given (RFC 3323 section 5: "critical")."""

    status: ClassVar[int] = 500

    def __init__(self) -> None:
        super().__init__("Privacy not available")


def wishes(message: Message) -> frozenset[str]:
    """Return the values of Privacy, lower case; nothing when there is none or it says ``none`` (RFC 3323 4.2)."""
    if "privacy" not in message.keys:
        return _NOTHING
    words = ";".join(message.whole_values("Privacy")).replace(",", ";").split(";")
    found = frozenset(word.strip().lower() for word in words)
    return _NOTHING if "none" in found else found


def demand(message: Message) -> None:
    """Refuse what demands a privacy that cannot be given here. Raises ``PrivacyUnavailable``."""
    if "privacy" in message.keys:
        wished = wishes(message)
        if "critical" in wished and not _NOT_DONE.isdisjoint(wished):
            raise PrivacyUnavailable


def respect(message: Message, before: frozenset[str] = _NOTHING) -> frozenset[str]:
    """Take off a message to a handset what its sender does not want to be known; return what was wished.

    ``before`` is what was wished as the dialog began. From stays: see ``hide_caller``.
    """
    wished = wishes(message) | before
    if not wished:
        return wished
    if "id" in wished:  # RFC 3325 7: "the proxy MUST remove all the P-Asserted-Identity header fields"
        message.remove_all(_ASSERTED)
    if "user" in wished:
        message.remove_all(_OF_USER)
    if "history" in wished:  # RFC 7044 10.1.2
        message.remove_all(_HISTORY)
    if "privacy" in message.keys and not _DONE.isdisjoint(wished):
        _take_off_done(message)
    return wished


def hide_caller(request: Request) -> str:
    """Make From anonymous, all but its tag (RFC 3323 4.1.1.3); return the value it had."""
    value = request.require("From")
    tag = parse_name_addr(value).tag
    request.set("From", f"{ANONYMOUS};tag={tag}" if tag else ANONYMOUS)
    return value


def _take_off_done(message: Message) -> None:
    words = ";".join(message.whole_values("Privacy")).replace(",", ";").split(";")
    left = [word.strip() for word in words if word.strip() and word.strip().lower() not in _DONE]
    message.remove("Privacy")
    if {word.lower() for word in left} - {"critical"}:  # "the entire Privacy header MUST be removed"
        message.add("Privacy", ";".join(left))
