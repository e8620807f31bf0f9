"""What is asked of the DNS and what it says, as far as SIP minds (RFC 1035, RFC 2782, RFC 3403)."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

Kind = Literal["NAPTR", "SRV", "A", "AAAA"]
Outcome = Literal["found", "none", "failed"]

KINDS: Final = get_args(Kind)
OUTCOMES: Final = get_args(Outcome)


class Question(NamedTuple):
    """The records of one kind that ``name`` has; the name is in lower case, without the dot at its end."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.name} {self.kind}"


class Naptr(NamedTuple):
    """A service of a domain, and the name that leads on."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """A server of a service; an empty ``target`` says that there is none (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


Record = Naptr | Srv | str
"""The record of a question's kind; an address is its text."""


class Answer(NamedTuple):
    """All records of a question, none when there are none; good for ``ttl`` seconds.

    ``failed`` tells that nobody could say whether there are any.
    """

    records: tuple[Record, ...] = ()
    ttl: float = 0.0
    failed: bool = False

    @property
    def outcome(self) -> Outcome:
        """What came of it, in a word."""
        return "failed" if self.failed else "found" if self.records else "none"


class Server(NamedTuple):
    """Where a request can be sent: ``host`` is an IP address, ``domain`` what a TLS peer must prove to be."""

    transport: str
    host: str
    port: int
    domain: str = ""
