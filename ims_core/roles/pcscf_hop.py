"""The P-CSCF as a hop of its own, between handsets and the CSCFs of their home (TS 24.229 section 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ims_core.errors import FlowFailed, Forbidden, LoopDetected, ServiceUnavailable, SipError
from ims_core.messages.extensions import names_option
from ims_core.messages.headers import parse_name_addr, quote_string
from ims_core.proxy.forking import Target
from ims_core.proxy.forward import Forward, ToService
from ims_core.proxy.routes import routes_beyond, take_own_routes
from ims_core.registrar.contacts import came_directly
from ims_core.roles.charging import write_vector
from ims_core.roles.companions import Chain
from ims_core.roles.fallback import PATIENCE
from ims_core.roles.first_hop import NOBODY, answer_keep, enforced_route
from ims_core.roles.protection import credentials_of, integrity, is_stale, mark_integrity, take_keys
from ims_core.roles.routing import HERE
from ims_core.roles.trust import give_to_handset, take_from_handset
from ims_core.security.digest import Outcome, Verdict

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response
    from ims_core.proxy.forward import Companion
    from ims_core.registrar.location import Domains, LocationEvent
    from ims_core.roles.emergency import Emergency
    from ims_core.roles.first_hop import FirstHop
    from ims_core.roles.flow_token import FlowTokens
    from ims_core.roles.handsets import Handsets
    from ims_core.roles.home_watch import HomeWatch
    from ims_core.roles.protection import Credentials
    from ims_core.roles.routing import Decision

MOST_HANDSETS: Final = 100_000
RETRY_SECONDS: Final = 60


class PcscfHop:
    """The ``Router`` of a P-CSCF whose registrar is elsewhere.

    ``domains`` are the names of this element, ``uri`` is the one that other hops reach it by, ``home`` that of the
    I-CSCF or S-CSCF that registers handsets. ``network`` is told them as the one visited. With ``refuses_routes`` a
    request whose Route is not the Service-Route gets 400; else the Route is replaced. ``emergency`` takes calls for
    emergency services, from anybody; ``fallback`` makes what goes along with other calls in case the core does not
    serve. Let ``first_hop.within`` be the node's, and hand all changes of the location to ``changed``. At most ``most``
    contacts may register. ``on_verdict`` is told how the credentials of each REGISTER fared at home. ``watch``, where
    it is set, follows at home who is registered.
    """

    def __init__(
        self,
        first_hop: FirstHop,
        handsets: Handsets,
        *,
        tokens: FlowTokens,
        domains: Domains,
        uri: str,
        home: str,
        network: str,
        refuses_routes: bool = False,
        emergency: Emergency | None = None,
        fallback: Callable[[Request], Companion] | None = None,
        most: int = MOST_HANDSETS,
    ) -> None:
        self.first_hop = first_hop
        self.handsets = handsets
        self.emergency = emergency
        self.fallback = fallback
        if emergency is not None:
            emergency.own_uri = self._own_uri
        self.refuses_routes = refuses_routes
        self._tokens = tokens
        self._domains = domains
        scheme, _, place = uri.partition(":")
        self._path: Callable[[str, str], str] = f"<{scheme}:{{}}@{place};lr{{}}>".format
        self._home = (f"<{home};lr>",)
        self._visited = quote_string(network)
        self._most = most
        self.on_verdict: Callable[[Flow, Verdict, float], None] = _ignore
        self.watch: HomeWatch | None = None

    def route(self, request: Request, flow: Flow, now: float) -> Decision:
        """Decide about a request outside any dialog. Raises a ``SipError`` to refuse it."""
        is_inside = self.first_hop.trusts(request, flow)
        if request.method == "REGISTER":
            if is_inside:
                raise Forbidden("Handsets register here")
            return self.register(request, flow, now)
        if self.emergency is not None and (called := self.emergency.decide(request, flow)) is not None:
            return called if is_inside else self.first_hop.emergency(request, flow, called)
        if request.method == "OPTIONS" and "route" not in request.keys and self._is_ours(request):
            return ToService(HERE)
        return self.terminate(request, flow, now) if is_inside else self.originate(request, flow, now)

    def changed(self, event: LocationEvent) -> None:
        """Take note of a change of the location."""
        self.handsets.changed(event)
        if self.watch is not None:
            self.watch.changed(event)

    def register(self, request: Request, flow: Flow, now: float) -> Forward:
        """Send a REGISTER on to the home network (5.2.2.1).

        Raises what ``SecurityAgreement.judge`` does, and ``BadRequest`` where To names nobody.
        """
        handsets, hop = self.handsets, self.first_hop
        if len(handsets) >= self._most and not handsets.location.has_flow(flow):
            raise ServiceUnavailable(headers=(("Retry-After", str(RETRY_SECONDS)),))
        told = hop.agreement.judge(request, flow)
        credentials = credentials_of(request)
        copy = request.copy()
        take_from_handset(copy)
        hop.agreement.cleanse(copy)
        copy.prepend("Path", self._path(self._tokens.make(flow), ";ob" if _keeps_flow(request) else ""))
        if not names_option(copy, "Require", "path"):
            copy.add("Require", "path")
        copy.add("P-Visited-Network-ID", self._visited)
        write_vector(copy, hop.icids.fresh())
        held = handsets.registered(request.to.uri, flow, credentials.private)
        word = integrity(
            credentials,
            is_secure=flow.secure,
            is_registered=held is not None,
            by_aka=held is not None and held.by_aka,
            is_associated=hop.agreement.associations.protects(flow),
        )
        mark_integrity(copy, word)
        companion = Registering(self, request, flow, now=now, credentials=credentials, told=told)
        return Forward((Target(request.uri, route=self._home),), copy, companion)

    def originate(self, request: Request, flow: Flow, now: float) -> Forward:
        """Send a request of a handset on, along the Service-Route of its registration (5.2.6.3)."""
        admitted = self.first_hop.originate(request, flow, now)
        service_route = admitted.handset.service_route or self._home
        route = enforced_route(request, service_route, self._domains.serves, refuses=self.refuses_routes)
        onward = Forward((Target(request.uri, route=route),), admitted.request, admitted.companion)
        if self.fallback is None or request.method != "INVITE":
            return onward
        return onward._replace(companion=Chain((self.fallback(request), admitted.companion)), patience=PATIENCE)

    def terminate(self, request: Request, flow: Flow, now: float) -> Forward:
        """Send a request of the network to the handset whose flow our Path named (5.2.6.4, RFC 5626 section 5.3).

        Raises ``Forbidden`` for what no Path of ours has led here, ``FlowFailed`` where the flow is gone,
        ``LoopDetected`` for a subscription of ours that the home takes for one to the handset.
        """
        if self.watch is not None and self.watch.has_sent(request):
            raise LoopDetected
        named = None
        for route in take_own_routes(request.copy(), self._domains.serves):
            named = self._tokens.read(route.user) if named is None and route.user else named
        if named is None:
            raise Forbidden("Not by a Path of this hop")
        handsets = self.handsets
        if named.reliable and not handsets.location.has_flow(named):
            raise FlowFailed
        handset = handsets.at(request.target)
        way: Flow | None = named
        identities = NOBODY
        if handset is not None and handset.binding.flow == named:
            way, identities = handset.binding.way, handset.identities
        copy = request.copy()
        companion = self.first_hop.tell(copy, identities)
        beyond = routes_beyond(request, self._domains.serves)
        return Forward((Target(request.uri, way, route=beyond),), copy, companion)

    def _own_uri(self, flow: Flow) -> str:
        """Return the URI that the Path of a handset at that flow names."""
        return self._path(self._tokens.make(flow), "")[1:-1]

    def _is_ours(self, request: Request) -> bool:
        try:
            return not request.target.user and self._domains.serves(request.target)
        except SipError:
            return False


class Registering:
    """Goes along with a REGISTER: takes keys off its challenge, and note of its 200 (5.2.2.1)."""

    def __init__(
        self, hop: PcscfHop, request: Request, flow: Flow, *, now: float, credentials: Credentials, told: str
    ) -> None:
        self._hop = hop
        self._request = request
        self._flow = flow
        self._now = now
        self._credentials = credentials
        self._told = told

    def returned(self, response: Response) -> None:
        """Take off what is not for the handset, and note what is for us."""
        first_hop = self._hop.first_hop
        give_to_handset(response)
        verdict = self._verdict(response)
        if verdict is not None:
            self._hop.on_verdict(self._flow, verdict, self._now)
        if response.status in {401, 407}:
            keys = take_keys(response)
            if keys.ck and keys.ik:
                first_hop.agreement.associations.establish(self._request, self._flow, keys.ck, keys.ik)
            if self._told:
                response.add("Security-Server", self._told)
        elif 200 <= response.status < 300:
            credentials = self._credentials
            aor = self._hop.handsets.note(
                self._request,
                response,
                self._flow,
                self._now,
                private=credentials.private,
                by_aka=credentials.by_aka,
            )
            if self._hop.watch is not None:
                self._hop.watch.follow(aor)
            if first_hop.keep_seconds:
                answer_keep(response, first_hop.keep_seconds)
                self._ask_to_keep(response, first_hop.keep_seconds)

    def instead(self, status: int) -> None:
        """Know no other way."""

    def _verdict(self, response: Response) -> Verdict | None:
        """Tell how the credentials fared, by the answer.

        A nonce is made for this hop, not for who sends it here: in a datagram a wrong answer to it may be anybody's.
        """
        answers = self._credentials.answers and not self._credentials.resynchronises
        if response.status == 401:
            if not answers:
                return Verdict(Outcome.MISSING)
            return Verdict(Outcome.WRONG if self._flow.reliable and not is_stale(response) else Outcome.STALE)
        return Verdict(Outcome.ACCEPTED) if answers and 200 <= response.status < 300 else None

    def _ask_to_keep(self, response: Response, seconds: int) -> None:
        """Tell who registered for its flow how soon it has to be heard again, as only its edge knows (RFC 5626 5.4)."""
        if names_option(response, "Require", "outbound") and "flow-timer" not in response.keys:
            response.add("Flow-Timer", str(seconds))


def _ignore(_flow: Flow, _verdict: Verdict, _now: float) -> None:
    """Nobody wants to know."""


def _keeps_flow(request: Request) -> bool:
    """Whether the handset is next to us and registers for a flow: we are its edge then (RFC 5626 section 5.1)."""
    if not came_directly(request):
        return False
    for value in request.values("Contact"):
        try:
            if "reg-id" in parse_name_addr(value).params:
                return True
        except SipError:
            continue
    return False
