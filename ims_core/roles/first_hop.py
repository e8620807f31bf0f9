"""The first hop of handsets: what it lets in, and what it lets out to them (TS 24.229 section 5.2.6).

handset ── originate ─► network ── towards_user ─► handset       requests outside dialogs
        ◄─ BackToHandset ───────── FromHandset ──                their responses, by companions
        ── within ──────────────── within ──────►                requests within dialogs, and theirs
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.errors import BadRequest, Forbidden, SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri, same_uri
from ims_core.proxy.forward import Passing
from ims_core.proxy.passage import DIALOG_FORMING
from ims_core.proxy.routes import routes_beyond
from ims_core.roles.charging import answer_vector, charging_vector, write_vector
from ims_core.roles.companions import Chain
from ims_core.roles.icid import Dialogs, Kept
from ims_core.roles.identity import (
    PREFERRED,
    IdentitySet,
    addresses,
    assert_identity,
    identity_set,
    preference,
    sender_of,
)
from ims_core.roles.privacy import demand, hide_caller, respect
from ims_core.roles.secagree import SEC_AGREE, SecurityAgreement, drop_option
from ims_core.roles.trust import give_to_handset, take_from_handset
from ims_core.subscribers.identities import canonical

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response
    from ims_core.messages.uri import Uri
    from ims_core.proxy.forward import Companion, Forward
    from ims_core.roles.charging import ChargingVector
    from ims_core.roles.handsets import Handset, Known
    from ims_core.roles.icid import Icids

KEEP_SECONDS: Final = 120
PRIVACY: Final = "privacy"
NOBODY: Final = identity_set(())
REMEMBERED: Final = frozenset(("id", "user"))  # of Privacy: what holds for a whole dialog
FORGOTTEN: Final = Kept(None)  # or nothing to be remembered


class Admitted(NamedTuple):
    """A request of a handset as the network may believe it.

    ``asserted`` is the identity that it is from, a name-addr, and ``public`` its canonical form. ``companion`` is to go
    along with it; ``handset`` tells by which way it is to go on.
    """

    request: Request
    asserted: str
    companion: Companion
    handset: Handset

    @property
    def public(self) -> str:
        """The identity as others are compared with it."""
        return canonical(parse_name_addr(self.asserted).uri)


class FirstHop:
    """Polices what handsets send, and what they are sent.

    ``known`` are the handsets that registered here; ``trusts`` tells whether a request that came by a flow is from
    within the network. ``agreement`` judges what handsets say of the security of this hop. ``leads_to_handset`` tells
    of a request within a dialog that comes from a handset whether it goes straight to another one, as it does where
    all roles are one process. Handsets that ask whether to keep their flow alive are told to, every ``keep_seconds``.
    """

    def __init__(
        self,
        known: Known,
        *,
        icids: Icids,
        trusts: Callable[[Request, Flow], bool],
        agreement: SecurityAgreement | None = None,
        leads_to_handset: Callable[[Request], bool] = lambda _: False,
        keep_seconds: int = KEEP_SECONDS,
    ) -> None:
        self.known = known
        self.icids = icids
        self.trusts = trusts
        self.agreement = agreement or SecurityAgreement(())
        self.dialogs = Dialogs()
        self.keep_seconds = keep_seconds
        self._leads_to_handset = leads_to_handset

    @property
    def extensions(self) -> frozenset[str]:
        """The option tags of Proxy-Require that are understood here and nowhere behind (``ProxyPolicy``)."""
        return frozenset((PRIVACY, SEC_AGREE) if self.agreement.is_possible else (PRIVACY,))

    # Requests outside dialogs ---------------------------------------------------------------------------------

    def originate(self, request: Request, flow: Flow, now: float) -> Admitted:
        """Admit a request of a handset outside any dialog, but not REGISTER (5.2.6.3.3, 5.2.6.3.7, 5.2.6.3.11).

        Raises ``Forbidden`` for who is not registered, or not as anybody who may call, and what
        ``SecurityAgreement.judge`` does.
        """
        handset = self.sender(request, flow)
        if handset is None:
            raise Forbidden("Not registered")
        self.agreement.judge(request, flow)
        asserted = self.asserted(request, handset)
        if not asserted:
            raise Forbidden("No identity to call with")
        copy = request.copy()
        self.admit(copy, asserted)
        return Admitted(copy, asserted, self.back(copy), handset)

    def asserted(self, request: Request, handset: Handset) -> str:
        """Return the identity that is asserted of a handset: the one it prefers, if it is its own (5.2.6.3.1)."""
        return preference(request, handset.identities) or handset.identities.default

    def back(self, copy: Request) -> BackToHandset:
        """Return what goes along with a request of a handset."""
        return BackToHandset(self, copy)

    def sender(self, request: Request, flow: Flow) -> Handset | None:
        """Return which handset sends a request: by its flow; where several share one, by what it says of itself."""
        names = addresses(request, PREFERRED)
        sender = sender_of(request)
        return self.known.sender(flow, names if sender is None else (*names, sender))

    def admit(self, copy: Request, asserted: str) -> None:
        """Make of the copy of a request of a handset what the network may believe; ``asserted`` empty: of nobody."""
        self._take(copy)
        assert_identity(copy, asserted)
        write_vector(copy, self.icids.of_dialog(copy.call_id, copy.from_tag))

    def emergency(self, request: Request, flow: Flow, called: Forward) -> Forward:
        """Have an emergency call of a handset say who it is from, where that is known (5.2.10.2, 5.2.10.3)."""
        copy = called.request
        if copy is None:
            return called
        handset = self.sender(request, flow)
        self.admit(copy, "" if handset is None else self.asserted(request, handset))
        back = self.back(copy)
        return called._replace(companion=back if called.companion is None else Chain((called.companion, back)))

    def towards_user(self, request: Request, forward: Forward) -> Forward:
        """Make of what goes to a handset what it may be told (5.2.6.4.3, 5.2.6.4.7, 5.2.6.4.11).

        ``request`` is the one that came, from where it is not another that is forwarded. Raises
        ``PrivacyUnavailable``.
        """
        handset = None
        for target in forward.targets:
            try:
                handset = self.known.at(parse_uri(target.uri))
            except SipError:
                continue
            if handset is not None:
                break
        copy = (forward.request or request).copy()
        companion: Companion = self.tell(copy, NOBODY if handset is None else handset.identities)
        if forward.companion is not None:
            companion = Chain((companion, forward.companion))
        return forward._replace(request=copy, companion=companion)

    def tell(self, copy: Request, identities: IdentitySet) -> FromHandset:
        """Make of the copy of a request what a handset with these identities may be told of it."""
        demand(copy)
        vector, called = charging_vector(copy), copy.get("P-Called-Party-ID") or ""
        give_to_handset(copy)
        hidden = respect(copy) & REMEMBERED
        caller = hide_caller(copy) if "user" in hidden else ""
        return FromHandset(self, copy, identities, called=called, kept=Kept(vector, hidden), caller=caller)

    # Requests within dialogs ----------------------------------------------------------------------------------

    def within(self, request: Request, flow: Flow, now: float) -> Passing | None:
        """Say how a request within a dialog goes on (5.2.6.3.5, 5.2.6.3.9, 5.2.6.4.5, 5.2.6.4.9): ``Node.within``.

        Who called need not be registered any more: calls that are under way may end.
        """
        copy = request.copy()
        companions: list[Companion] = []
        is_inside = self.trusts(request, flow)
        if not is_inside:
            if "security-verify" in request.keys and request.method != "ACK":
                self.agreement.judge(request, flow)
            self._take(copy)
            if request.method != "ACK":  # RFC 7315 5.7: no P-Charging-Vector in ACK
                write_vector(copy, self._vector_of(copy))
            companions.append(self.back(copy))
        if is_inside or self._leads_to_handset(request):
            vector = charging_vector(copy)
            give_to_handset(copy)
            kept = self.dialogs.get(copy.call_id, copy.from_tag) or FORGOTTEN
            hidden = respect(copy, kept.hidden)
            caller = hide_caller(copy) if "user" in hidden else ""
            companions.insert(0, FromHandset(self, copy, kept=Kept(vector), caller=caller))
        return Passing(copy, Chain(tuple(companions)))

    def _take(self, copy: Request) -> None:
        """Take from a handset's request what ends here."""
        take_from_handset(copy)
        self.agreement.cleanse(copy)
        drop_option(copy, "Proxy-Require", PRIVACY)  # RFC 3323 4.3: it is the edge of the network that gives it

    def _vector_of(self, request: Request) -> ChargingVector:
        """Return the vector of the dialog: as it came with it, where it was made towards this handset."""
        kept = self.dialogs.get(request.call_id, request.to_tag)
        if kept is not None and kept.vector is not None:
            return kept.vector
        return self.icids.of_dialog(request.call_id, request.from_tag)


class BackToHandset:
    """Goes along with a request of a handset: what of the responses it is told (5.2.6.3.4, 5.2.6.3.8)."""

    def __init__(self, hop: FirstHop, request: Request) -> None:
        self._hop = hop
        self._method = request.method
        self._call_id = request.call_id
        self._to_tag = request.to_tag

    def returned(self, response: Response) -> None:
        """Take off what no handset is told, and what the callee does not want to be."""
        give_to_handset(response)
        hidden = respect(response) & REMEMBERED
        status = response.status
        if hidden and not self._to_tag and self._method in DIALOG_FORMING and 100 < status < 300:
            self._hop.dialogs.keep(response.call_id, response.to_tag, Kept(None, hidden))
        if self._hop.keep_seconds and 100 < status < 300:
            answer_keep(response, self._hop.keep_seconds)
        self._follow(status)

    def instead(self, status: int) -> Forward | None:
        """Know no other way: a dialog is over, whoever does not answer its BYE."""
        self._follow(status)
        return None

    def _follow(self, status: int) -> None:
        if self._method == "BYE" and status >= 200:
            self._hop.dialogs.forget(self._call_id, self._to_tag)


class FromHandset:
    """Goes along with a request to a handset: what of its responses is believed (5.2.6.4.4, 5.2.6.4.8).

    ``identities`` are the callee's, ``called`` the one that the request was for; ``kept`` is what the handset was not
    told, and ``caller`` the From that it was not told.
    """

    def __init__(
        self,
        hop: FirstHop,
        request: Request,
        identities: IdentitySet = NOBODY,
        *,
        called: str = "",
        kept: Kept,
        caller: str,
    ) -> None:
        self._hop = hop
        self._method = request.method
        self._dialog = request.call_id, request.from_tag
        self._to_tag = request.to_tag
        self._identities = identities
        self._called = called
        self._kept = kept
        self._caller = caller
        self._began = False

    def returned(self, response: Response) -> None:
        """Have the response say who answers, and to which request the network is to charge it."""
        preferred = preference(response, self._identities)
        take_from_handset(response)
        if response.status > 100 and not self._to_tag:
            assert_identity(response, preferred or self._called or self._identities.default)
        answer_vector(response, self._kept.vector, self._hop.icids.network)
        if self._caller:
            response.set("From", self._caller)
        self._follow(response.status)

    def instead(self, status: int) -> Forward | None:
        """Know no other way: a dialog is over, whoever does not answer its BYE."""
        self._follow(status)
        return None

    def _follow(self, status: int) -> None:
        """Remember a dialog that begins, as often as it is told to; forget it when it came to nothing, or is over."""
        dialogs, (call_id, from_tag) = self._hop.dialogs, self._dialog
        if self._to_tag:
            if self._method == "BYE" and status >= 200:
                dialogs.forget(call_id, from_tag)
                dialogs.forget(call_id, self._to_tag)
        elif 100 < status < 300:
            if self._method in DIALOG_FORMING and self._kept != FORGOTTEN:
                dialogs.keep(call_id, from_tag, self._kept)
                self._began = True
        elif self._began and status >= 300:
            dialogs.forget(call_id, from_tag)


def enforced_route(
    request: Request, service_route: tuple[str, ...], is_local: Callable[[Uri], bool], *, refuses: bool = False
) -> tuple[str, ...]:
    """Return the way of a handset's request: the Service-Route of its registration, whatever it has preloaded.

    5.2.6.3.3: where that is another, it is replaced or, with ``refuses``, the request is: raises ``BadRequest``.
    """
    if refuses and not _same_route(routes_beyond(request, is_local), service_route):
        raise BadRequest("Route is not the Service-Route")
    return service_route


def _same_route(preloaded: tuple[str, ...], service_route: tuple[str, ...]) -> bool:
    """Compare URI by URI, "not as a whole string"."""
    if len(preloaded) != len(service_route):
        return False
    for one, other in zip(preloaded, service_route, strict=True):
        try:
            if not same_uri(parse_name_addr(one).uri, parse_name_addr(other).uri):
                return False
        except SipError:
            return False
    return True


def answer_keep(response: Response, seconds: int) -> None:
    """Tell who offers to keep its flow alive, by ``keep`` in its Via, to do so (RFC 6223 section 4.3)."""
    if "via" not in response.keys:
        return
    text = response.top_via_text
    if "keep" not in text.lower():
        return
    params = text.split(";")
    told = [f"keep={seconds}" if param.strip().lower() == "keep" else param for param in params]
    if told != params:
        response.replace_top_via(";".join(told))
