"""The registrar: REGISTER requests become bindings (RFC 3261 section 10.3, RFC 5626 section 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import formatdate
from math import inf
from typing import TYPE_CHECKING, Final

from ims_core.errors import (
    BadRequest,
    FirstHopLacksOutbound,
    Forbidden,
    IntervalTooBrief,
    NotFound,
    SipError,
    UnsupportedScheme,
)
from ims_core.flow import Flow
from ims_core.ids import Ids
from ims_core.messages.extensions import check_required, names_option
from ims_core.messages.headers import parse_name_addr, quote_string
from ims_core.messages.message import Request, Response, error_response, response_to
from ims_core.messages.uri import parse_uri, same_uri
from ims_core.registrar.contacts import (
    Wish,
    came_directly,
    contact_uri,
    ends_with_uri,
    features,
    names_sender,
    passed_an_edge,
    path_of,
    preference,
    registration_id,
    seconds,
    seconds_left,
)
from ims_core.registrar.location import Binding, Domains, Location, Removal
from ims_core.remembering import Remembered
from ims_core.security.digest import DigestAuthenticator, Outcome, Unauthorized, Verdict

if TYPE_CHECKING:
    from ims_core.registrar.enrolment import Authenticator, Enrolment, Registrant

SUPPORTED: Final = frozenset(("path", "outbound"))
FALLBACK_EXPIRES: Final = 3600
USERS_REMEMBERED: Final = 16_384
REMEMBERED_LENGTH: Final = 256


class Registrar:
    """Answers REGISTER for one domain and keeps ``location`` up to date.

    Without ``authenticator`` everybody may register any user that ``known_user`` knows (None: any user at all).
    With it, a user may register the own address-of-record only. With ``enrolment`` that says who may register what, and
    the two others have no say. Lifetimes are in seconds; a wish above
    ``max_expires`` is cut down to it, one below ``min_expires`` is refused. ``service_route`` are the values that a
    phone is told to put into the Route of its requests (RFC 3608). Who registers for a flow is asked to keep it alive
    every ``flow_timer`` seconds (RFC 5626 section 6), 0 for as he likes. ``unix_time`` turns ``now`` into seconds since
    1970 for the Date header; without it the header is left out.

    ``on_verdict`` is told how the credentials of each request fared, with its flow and ``now``.
    """

    def __init__(
        self,
        domains: Domains,
        location: Location,
        ids: Ids,
        *,
        authenticator: DigestAuthenticator | None = None,
        known_user: Callable[[str], bool] | None = None,
        enrolment: Enrolment | None = None,
        min_expires: int = 60,
        max_expires: int = 7200,
        default_expires: int = 3600,
        max_contacts: int = 10,
        service_route: Sequence[str] = (),
        flow_timer: int = 120,
        unix_time: Callable[[float], float] | None = None,
    ) -> None:
        if not 0 <= min_expires <= min(default_expires, 3600) or default_expires > max_expires:
            # step 7 allows 423 only for less than one hour
            raise ValueError("expected min_expires <= default_expires <= max_expires and min_expires <= 3600")
        self._domains = domains
        self._location = location
        self._ids = ids
        self._authenticator = authenticator
        self._known_user = known_user
        self._enrolment = enrolment
        self._min_expires = min_expires
        self._max_expires = max_expires
        self._default_expires = default_expires
        self._max_contacts = max_contacts
        self._service_route = ", ".join(service_route)
        self._flow_timer = flow_timer
        self._unix_time = unix_time
        self._registered = Remembered(self._resolve, USERS_REMEMBERED)
        self._date = (-1, "")
        self.on_verdict: Callable[[Flow, Verdict, float], None] = _ignore
        self.accepted = 0
        self.challenged = 0
        self.wrong_credentials = 0

    def handle(self, request: Request, flow: Flow, now: float) -> Response | Unauthorized:
        """Answer one REGISTER that came over ``flow``. All of it takes effect or nothing does.

        The sender is to be asked for credentials where ``Unauthorized`` is returned, as after most first requests. He
        is nobody yet then, and so he is where something is objected to before, which is raised.
        """
        self._location.expire(now)
        enrolment = self._enrolment
        if "require" in request:
            check_required(request, SUPPORTED)  # step 2
        registrant = None if enrolment is None else enrolment.identify(request, flow)
        try:
            if enrolment is not None and registrant is not None:
                return self._enrol(enrolment, registrant, request, flow, now)
            user = None if self._authenticator is None else self._authenticate(self._authenticator, request, flow, now)
            if isinstance(user, Unauthorized):
                return user
            aor = self._address_of_record(request, user)
            self._update(request, aor, flow, now)
            self.accepted += 1
            return self._ok(request, aor, now)
        except SipError as error:
            return error_response(request, error, to_tag=self._ids.tag())

    def _enrol(
        self, enrolment: Enrolment, registrant: Registrant, request: Request, flow: Flow, now: float
    ) -> Response | Unauthorized:
        """Serve a subscriber, whose set of identities has one address-of-record (TS 24.229 section 5.4.1.2)."""
        authenticator = registrant.authenticator
        if authenticator is not None:
            user = self._authenticate(authenticator, request, flow, now, registrant.user)
            if isinstance(user, Unauthorized):
                return user
            if user != registrant.user:
                raise Forbidden
        self._update(request, registrant.aor, flow, now, registrant.private)
        self.accepted += 1
        response = self._ok(request, registrant.aor, now)
        for name, value in registrant.headers:
            response.add(name, value)
        enrolment.registered(registrant, request, response)
        return response

    def _authenticate(
        self,
        authenticator: DigestAuthenticator | Authenticator,
        request: Request,
        flow: Flow,
        now: float,
        claimed: str | None = None,
    ) -> str | Unauthorized:
        """Step 3. Returns the user who sent the request; ``claimed`` is who he says he is, if not the user in To."""
        credentials = request.whole_values("Authorization")
        host = flow.remote[0]
        verdict = authenticator.verify(request.method, request.uri, credentials, now, host=host, body=request.body)
        self.on_verdict(flow, verdict, now)
        if verdict.outcome is Outcome.ACCEPTED:
            return verdict.user
        self.challenged += 1
        self.wrong_credentials += verdict.outcome is Outcome.WRONG
        user = self._asking(request) if claimed is None else claimed
        challenges = authenticator.challenges(now, user, host=host, stale=verdict.outcome is Outcome.STALE)
        return Unauthorized(challenges, is_proven=verdict.outcome is Outcome.WRONG)

    def _address_of_record(self, request: Request, user: str | None) -> str:
        """Steps 1, 4 and 5."""
        aor, wanted = self._named(request)
        if user is not None:
            if user != wanted:
                raise Forbidden
        elif not wanted or (self._known_user is not None and not self._known_user(wanted)):
            raise NotFound
        return aor

    def _asking(self, request: Request) -> str:
        """The user in To, of whatever domain: what is wrong with it is told to who has proved himself."""
        try:
            return self._named(request)[1]
        except SipError:
            return request.to.uri.user

    def _named(self, request: Request) -> tuple[str, str]:
        """Return the address-of-record that a request is for, and its user."""
        to, uri = request.require("To"), request.uri
        short = len(to) + len(uri) <= REMEMBERED_LENGTH
        return self._registered.of((to, uri)) if short else self._resolve((to, uri))

    def _resolve(self, named: tuple[str, str]) -> tuple[str, str]:
        """Return the address-of-record and the user that a To value and a Request-URI name."""
        to, uri = named
        try:
            target = parse_name_addr(to).uri
        except UnsupportedScheme:  # step 5: To names an address-of-record, "and MUST be a SIP or SIPS URI"
            raise BadRequest("Unsupported scheme in To") from None
        aor = self._domains.aor_of(target)
        if aor is None or not self._domains.serves(parse_uri(uri)):
            raise NotFound
        return aor, target.user

    def _update(self, request: Request, aor: str, flow: Flow, now: float, private: str = "") -> None:
        """Steps 6 and 7: find all faults first, then change the bindings, those of ``private`` if it is given."""
        contact = request.get("Contact")
        if contact is None:
            return
        direct = came_directly(request)
        if direct and request.keys.count("contact") == 1 and "path" not in request:
            held = self._location.bindings(aor)
            if (not held and self._enter(request, aor, contact, flow, now, private=private)) or (
                len(held) == 1 and self._renew(request, held[0], contact, flow, now, private=private)
            ):
                return
        contacts = request.values("Contact")
        path = path_of(request)
        call_id, cseq = request.call_id, request.cseq.number
        if "*" in contacts:
            wishes = self._all_away(request, aor, contacts, private)
        else:
            wishes = self._wishes(request, aor, contacts, private, keeps_flow=direct or passed_an_edge(path))
        for wish in wishes:
            # step 7: a binding made with this Call-ID changes "only if the CSeq in the request is higher"
            if wish.held is not None and wish.held.call_id == call_id and wish.held.cseq >= cseq:
                raise SipError("CSeq out of order")
        written = contact if len(contacts) == 1 else ""
        for wish in wishes:
            known, uri = wish.held, wish.uri
            if not wish.lifetime:
                if known is not None:
                    self._location.remove(known, Removal.DEREGISTERED)
                continue
            new = Binding(
                aor,
                uri.text,
                flow if direct else None,
                by_flow=direct and not path and (wish.reg_id > 0 or names_sender(uri, request.via, flow)),
                call_id=call_id,
                cseq=cseq,
                expires_at=now + wish.lifetime,
                q=wish.q,
                instance=wish.instance,
                reg_id=wish.reg_id,
                path=path,
                written="" if written == f"<{uri.text}>" else written,
                private=private,
            )
            if known is None:
                self._location.add(new)
            else:
                self._location.refresh(known, new)

    def _enter(self, request: Request, aor: str, contact: str, flow: Flow, now: float, *, private: str) -> bool:
        """Do what most first REGISTERs ask: take in one plain contact. False: it is not as simple as that."""
        if not contact.startswith("<") or not ends_with_uri(contact):
            return False
        uri = contact_uri(parse_name_addr(contact))
        lifetime = self._lifetime(request.get("Expires"))
        if not lifetime:
            return False
        by_flow = names_sender(uri, request.via, flow)
        call_id, cseq = request.call_id, request.cseq.number
        new = Binding(
            aor,
            uri.text,
            flow,
            by_flow=by_flow,
            call_id=call_id,
            cseq=cseq,
            expires_at=now + lifetime,
            private=private,
        )
        self._location.add(new)
        return True

    def _renew(self, request: Request, held: Binding, contact: str, flow: Flow, now: float, *, private: str) -> bool:
        """Do what most other REGISTERs ask: let the one contact live longer. False: it is not as simple as that."""
        if (held.written or f"<{held.contact}>") != contact or held.flow != flow or held.path:
            return False
        asked = request.get("Expires")
        if not ends_with_uri(contact):
            asked = parse_name_addr(contact).params.get("expires", asked)
        lifetime = self._lifetime(asked)
        call_id, cseq = request.call_id, request.cseq.number
        if not lifetime or held.private != private or (held.call_id == call_id and held.cseq >= cseq):
            return False
        self._location.renew(held, call_id=call_id, cseq=cseq, expires_at=now + lifetime)
        return True

    def _all_away(self, request: Request, aor: str, contacts: list[str], private: str) -> list[Wish]:
        # "if the request has additional Contact fields or an expiration time other than zero, the request is invalid"
        if len(contacts) > 1 or seconds(request.get("Expires")) != 0:
            raise BadRequest("Contact * needs Expires 0")
        held = self._location.bindings(aor)
        mine = (binding for binding in held if binding.private == private or not private)
        return [Wish(binding.uri, binding, 0) for binding in mine if not binding.fixed]

    def _wishes(self, request: Request, aor: str, contacts: list[str], private: str, *, keeps_flow: bool) -> list[Wish]:
        """Read the contacts; with ``keeps_flow`` they may be registered for a flow (RFC 5626 section 6)."""
        if len(contacts) > 2 * self._max_contacts:
            raise Forbidden("Too many contacts")
        default = request.get("Expires")
        wishes: list[Wish] = []
        for text in contacts:
            contact = parse_name_addr(text)
            uri = contact_uri(contact)
            lifetime = self._lifetime(contact.params.get("expires", default))
            q, instance, reg_id = preference(contact), contact.params.get("+sip.instance", ""), 0
            if instance and "reg-id" in contact.params:
                reg_id = registration_id(contact)
                if not keeps_flow:
                    if names_option(request, "Supported", "outbound"):
                        raise FirstHopLacksOutbound
                    reg_id = 0
            held = self._location.match(aor, uri, instance, reg_id, private)
            if held is not None and held.fixed:
                continue
            wish = Wish(uri, held, lifetime, q, instance, reg_id)
            if wishes:  # of two values for one contact the later counts
                wishes = [other for other in wishes if not _same_contact(other, wish)]
            wishes.append(wish)
        if len(wishes) > 1 or (wishes and wishes[0].held is None):
            self._check_room(aor, wishes, private)
        lasting = [wish for wish in wishes if wish.lifetime]
        if len(lasting) > 1 and any(wish.reg_id for wish in lasting):
            raise BadRequest("One contact at a time for a flow")
        return wishes

    def _check_room(self, aor: str, wishes: list[Wish], private: str) -> None:
        held = sum(1 for binding in self._location.bindings(aor) if binding.private == private or binding.fixed)
        if held + len(wishes) <= self._max_contacts:
            return
        gained = sum(
            1 if wish.held is None and wish.lifetime else -1 if not wish.lifetime and wish.held else 0
            for wish in wishes
        )
        if gained > 0 and held + gained > self._max_contacts:
            raise Forbidden("Too many contacts")

    def _lifetime(self, text: str | None) -> int:
        """The seconds granted to a contact that asks for ``text``; 0 means remove it. Raises ``IntervalTooBrief``."""
        if text is None:
            return self._default_expires
        wanted = seconds(text)
        if wanted is None:  # 20.10: "Malformed values SHOULD be treated as equivalent to 3600."
            wanted = FALLBACK_EXPIRES
        if 0 < wanted < self._min_expires:
            raise IntervalTooBrief(headers=(("Min-Expires", str(self._min_expires)),))
        return min(wanted, self._max_expires)

    def _ok(self, request: Request, aor: str, now: float) -> Response:
        """Step 8: the 200 with all current bindings."""
        response = response_to(request, 200, to_tag=self._ids.tag())
        keys, lines = response.keys, response.lines
        for binding in self._location.bindings(aor):
            left = self._max_expires if binding.expires_at == inf else seconds_left(binding.expires_at, now)
            if left <= 0:  # about to be dropped
                continue
            value = f"Contact: <{binding.contact}>;expires={left}"
            if binding.q is not None:
                value += f";q={binding.q:.3g}"
            if binding.instance:
                value += f";+sip.instance={quote_string(binding.instance)}"
                if binding.reg_id:
                    value += f";reg-id={binding.reg_id}"
                    self._tell_of_flow(request, binding, response)
            if binding.private:  # TS 24.229 5.4.1.2.2F: "including all saved header field parameters"
                value += "".join(f";{name}={said}" if said else f";{name}" for name, said in features(binding))
            keys.append("contact")
            lines.append(value)
        if "path" in request:
            for value in request.values("Path"):
                response.add("Path", value)
        if self._service_route:
            response.add("Service-Route", self._service_route)
        if self._unix_time is not None:
            if self._date[0] != int(now):
                self._date = int(now), f"Date: {formatdate(self._unix_time(now), usegmt=True)}"
            keys.append("date")
            lines.append(self._date[1])
        return response

    def _tell_of_flow(self, request: Request, binding: Binding, response: Response) -> None:
        """Say that the contact of this request was registered for its flow (RFC 5626 section 6)."""
        is_told_of = (binding.call_id, binding.cseq) == (request.call_id, request.cseq.number)
        if is_told_of and names_option(request, "Supported", "outbound"):
            response.add("Require", "outbound")
            if binding.flow is not None and self._flow_timer:
                response.add("Flow-Timer", str(self._flow_timer))


def _same_contact(one: Wish, other: Wish) -> bool:
    """Whether two values of one request are about the same binding."""
    if one.held is not None and one.held is other.held:
        return True
    if one.reg_id or other.reg_id:
        return (one.instance, one.reg_id) == (other.instance, other.reg_id)
    return same_uri(one.uri, other.uri)


def _ignore(flow: Flow, verdict: Verdict, now: float) -> None:
    """Nobody wants to know."""
