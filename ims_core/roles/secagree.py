"""How handset and first hop agree on the security between them (RFC 3329, TS 24.229 section 5.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ims_core.errors import ExtensionRequired, SecurityAgreementRequired, SipError
from ims_core.messages.extensions import names_option
from ims_core.messages.headers import parse_params, split_params

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Message, Request

SEC_AGREE: Final = "sec-agree"
TLS: Final = "tls"
IPSEC: Final = "ipsec-3gpp"
MOST: Final = 16  # mechanisms that are read of one list


class Mechanism(NamedTuple):
    """One value of Security-Client, -Server or -Verify (2.2); names in lower case."""

    name: str
    params: dict[str, str]


class SecurityAssociations(Protocol):
    """The IPsec between handsets and this element (TS 33.203 section 7), for whoever can set it up."""

    def offer(self, wanted: Mechanism, request: Request, flow: Flow) -> str:
        """Return the Security-Server value for a handset that wants ``ipsec-3gpp`` so, with SPIs and ports of ours.

        Empty: not in this way. Associations that no ``establish`` follows are forgotten by themselves.
        """

    def offered(self, flow: Flow) -> str:
        """Return what was offered to who sends by ``flow``, to be compared with what he says it was."""

    def establish(self, request: Request, flow: Flow, ck: bytes, ik: bytes) -> None:
        """Set up what was offered for this REGISTER, with the keys that its 401 brought (TS 33.203 section 7.1)."""

    def protects(self, flow: Flow) -> bool:
        """Whether what comes by ``flow`` has come through an association."""


class NoAssociations:
    """There is no IPsec here."""

    def offer(self, wanted: Mechanism, request: Request, flow: Flow) -> str:
        """Offer none."""
        return ""

    def offered(self, flow: Flow) -> str:
        """Nothing has been offered."""
        return ""

    def establish(self, request: Request, flow: Flow, ck: bytes, ik: bytes) -> None:
        """Set up nothing."""

    def protects(self, flow: Flow) -> bool:
        """Nothing is protected so."""
        return False


class SecurityAgreement:
    """Judges what handsets say of the security of their first hop.

    ``mechanisms`` are those that they may choose, the best first: ``tls`` is agreed on when they come by TLS;
    ``ipsec-3gpp`` needs ``associations``. Without any, ``sec-agree`` is an extension unknown here. With ``required``
    nobody is served without an agreement. ``host`` is who warns. ``on_refused`` is told of each handset that found
    nothing to agree on, and the mechanisms it knows.
    """

    def __init__(
        self,
        mechanisms: Iterable[str] = (TLS,),
        *,
        required: bool = False,
        host: str = "localhost",
        associations: SecurityAssociations | None = None,
    ) -> None:
        self._names = tuple(mechanisms)
        if IPSEC in self._names and associations is None:
            raise ValueError(f"{IPSEC} needs security associations")
        self._required = required
        self._host = host
        self.associations = associations or NoAssociations()
        self.on_refused: Callable[[Flow, list[str]], None] = _ignore

    @property
    def is_possible(self) -> bool:
        """Whether there is anything to agree on."""
        return bool(self._names)

    def judge(self, request: Request, flow: Flow) -> str:
        """Return the Security-Server list to be told with a challenge; empty: none was asked for.

        Raises ``SecurityAgreementRequired`` when first something has to be agreed on, or what was is not what the
        handset was told; ``ExtensionRequired`` where it has to begin with an agreement.
        """
        if not self._names:
            return ""
        client = read_list(request, "Security-Client")
        if "security-verify" in request.keys:
            return self._verified(request, flow, client)
        if _asks(request):
            return self._agreed(request, flow, client, is_needed=True)
        if self._required:
            told = ("Security-Server", self._server(request, flow, client))
            raise ExtensionRequired(headers=(("Require", SEC_AGREE), told))  # 2.3.2
        return self._agreed(request, flow, client, is_needed=False) if client else ""

    def cleanse(self, request: Request) -> None:
        """Take off a request that goes on what was for this hop (2.3.1: "it MUST remove the sec-agree value")."""
        for name in ("Security-Client", "Security-Verify", "Security-Server"):
            request.remove(name)
        if self._names:
            for name in ("Require", "Proxy-Require"):
                drop_option(request, name, SEC_AGREE)

    def _verified(self, request: Request, flow: Flow, client: list[Mechanism]) -> str:
        """See that nobody has changed the list on its way, and that one of its mechanisms is in use."""
        told = self.associations.offered(flow) or self._server(request, flow, client)
        said = read_list(request, "Security-Verify")
        if said != parse_list(told.split(",")) or not self._protects(flow):
            raise SecurityAgreementRequired(headers=(("Security-Server", told),))
        return told

    def _agreed(self, request: Request, flow: Flow, client: list[Mechanism], *, is_needed: bool) -> str:
        wanted = {mechanism.name for mechanism in client}
        told = self._server(request, flow, client)
        common = wanted.intersection(mechanism.name for mechanism in parse_list(told.split(",")))
        # what is agreed on over TLS need not be begun anew; anything else is unprotected yet
        if common and (self._protects(flow) or IPSEC in common):
            return told
        if not is_needed:
            return ""
        headers = [("Security-Server", told)]
        if client and not common:
            self.on_refused(flow, sorted(wanted))
            known = " or ".join(self._names)
            headers.append(("Warning", f'399 {self._host} "Of the security mechanisms only {known} is served here"'))
        raise SecurityAgreementRequired(headers=tuple(headers))

    def _server(self, request: Request, flow: Flow, client: list[Mechanism]) -> str:
        """Return the list of what is to be had here, for this handset."""
        values = []
        for place, name in enumerate(self._names, 1):
            value = name
            if name == IPSEC:
                wanted = next((mechanism for mechanism in client if mechanism.name == IPSEC), None)
                value = self.associations.offer(wanted, request, flow) if wanted is not None else ""
            if value:
                values.append(f"{value};q={max(1.0 - place / 10, 0.1):.1f}" if ";q=" not in value else value)
        return ", ".join(values)

    def _protects(self, flow: Flow) -> bool:
        return (flow.secure and TLS in self._names) or self.associations.protects(flow)


def read_list(message: Message, name: str) -> list[Mechanism]:
    """Return the mechanisms that a header field lists, as far as they can be read."""
    return parse_list(message.values(name)) if name.lower() in message.keys else []


def parse_list(values: Iterable[str]) -> list[Mechanism]:
    """Read values; two lists are equal where the mechanisms, their order and all parameters are (2.3.1)."""
    found = []
    for value in list(values)[:MOST]:
        name, *params = split_params(value)
        try:
            known = parse_params([param for param in params if param.strip()])
        except SipError:
            continue
        if name.strip():
            found.append(Mechanism(name.strip().lower(), {key: text.strip().lower() for key, text in known.items()}))
    return found


def drop_option(message: Message, name: str, option: str) -> None:
    """Take an option tag off a header field, and the field when nothing is left of it."""
    if name.lower() not in message.keys or not names_option(message, name, option):
        return
    left = [value for value in message.values(name) if value and value.lower() != option]
    message.remove(name)
    if left:
        message.add(name, ", ".join(left))


def _asks(request: Request) -> bool:
    return any(names_option(request, name, SEC_AGREE) for name in ("Require", "Proxy-Require"))


def _ignore(_flow: Flow, _mechanisms: list[str]) -> None:
    """Nobody wants to know."""
