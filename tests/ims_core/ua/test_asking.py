"""Requests within a call answer who asks for credentials (RFC 3261 section 22), whatever their method."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from ims_core.errors import NoRoute
from ims_core.flow import Flow
from ims_core.locate.courier import Outbound
from ims_core.messages.message import Request, Response
from ims_core.security.credentials import Credentials
from ims_core.security.digest import DigestAuthenticator, Outcome
from ims_core.transactions.endpoint import Event, RequestReceived
from ims_core.ua.event_headers import Event as EventValue
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.messaging import ping, send_message, serve_messages
from ims_core.ua.notifier import serve_events
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.referral import Referral, serve_referrals, serve_shared_dialogs
from ims_core.ua.referring import ReferAccepted, ReferEvent, ReferFinished, ReferProgress, ReferRefused, Referring
from ims_core.ua.session import Session
from ims_core.ua.session_events import Answered, Ended, Rejected, Reoffered
from ims_core.ua.subscriber import Notified, Subscriber, SubscriberEvent, Unsubscribed, Wish
from tests.ims_core.ua.test_subscriptions import WEATHER, Weather
from tests.kit import Network, Phone

rfc = pytest.mark.rfc
HEADERS = ("Authorization", "Proxy-Authorization")


class Guarded(Phone):
    """A phone that asks for credentials of every request but ACK and CANCEL, like the edge of a carrier."""

    def __init__(self, network: Network, name: str, *, status: int = 407) -> None:
        super().__init__(network, name)
        self._secrets = count()
        self._take = self.react
        self.react = self._guard
        self.status = status
        self.verdicts: list[tuple[str, Outcome]] = []
        self.forget()

    def forget(self) -> None:
        """Know no nonce any more that was given out before."""
        self._realm = DigestAuthenticator("carrier", {"us": "sesame"}.get, f"secret {next(self._secrets)}".encode())

    def _guard(self, event: Event) -> None:
        if not isinstance(event, RequestReceived):
            self._take(event)
            return
        request, (kind, header) = event.request, ("WWW", HEADERS[0]) if self.status == 401 else ("Proxy", HEADERS[1])
        outcome = self._realm.verify(request.method, request.uri, request.whole_values(header), 0.0).outcome
        self.verdicts.append((request.method, outcome))
        if outcome is Outcome.ACCEPTED:
            self._take(event)
            return
        (challenge,) = self._realm.challenges(0.0, stale=outcome is Outcome.STALE)
        self.endpoint.reply(event.transaction, self.status, headers=((f"{kind}-Authenticate", challenge),))


class Told:
    """Who sent a request."""

    def __init__(self) -> None:
        self.statuses: list[int | str] = []

    def receive_response(self, _: Outbound, response: Response) -> None:
        self.statuses.append(response.status)

    def request_failed(self, _: Outbound, cause: str) -> None:
        self.statuses.append(cause)


class Trunk:
    """Alice calls bob, whose side asks for credentials."""

    def __init__(self, *, status: int = 407, password: str = "sesame") -> None:
        self.network = Network()
        self.alice, self.bob = Phone(self.network, "alice"), Guarded(self.network, "bob", status=status)
        self.credentials = Credentials("us", password)
        self.leg: OutgoingCall

    def dial(self, on_call: Callable[[IncomingCall], None] = lambda call: call.answer(b"answer"), **more: str) -> None:
        self.bob.on_call = on_call
        flow = self.alice.flow(self.bob)
        self.leg = self.alice.ua.outgoing(flow, self._take, credentials=self.credentials)
        headers = tuple((name.replace("_", "-"), value) for name, value in more.items())
        uri = self.bob.uri
        self.leg.start(uri, caller="<sip:us@ims.example>", callee=f"<{uri}>", sdp=b"offer", headers=headers)
        self.network.run(1)

    def _take(self, event: object) -> None:
        self.alice.told.append((self.leg, event))  # type: ignore[arg-type]

    @property
    def peer(self) -> IncomingCall:
        return self.bob.incoming[-1]

    def requests(self, method: str) -> list[Request]:
        return [packet.message for packet in self.network.packets(method)]  # type: ignore[misc]

    def exchange(self, method: str) -> list[str]:
        return [summary for summary in self.network.wire() if summary.split()[-1] == method]

    def finish(self) -> None:
        self.network.run()
        self.alice.assert_idle()
        self.bob.assert_idle()


def credentials(request: Request) -> list[str]:
    return [value for name in HEADERS for value in request.whole_values(name)]


def inform(leg: Session) -> None:
    leg.send("INFO", body=b"5", content_type="application/dtmf")


def refresh(leg: Session) -> None:
    leg.update()


def reoffer(leg: Session) -> None:
    leg.reinvite(b"another")


def hang_up(leg: Session) -> None:
    leg.hang_up()


METHODS = pytest.mark.parametrize(
    ("method", "act"), [("INFO", inform), ("UPDATE", refresh), ("INVITE", reoffer), ("BYE", hang_up)]
)


@rfc("3261-22.2", "3261-22.3", "7616-3.4")
@METHODS
def test_what_was_answered_once_is_not_asked_for_again(method: str, act: Callable[[Session], None]) -> None:
    t = Trunk()
    t.dial()
    act(t.leg)
    t.network.run(0.3)
    assert t.bob.verdicts[2:] == [(method, Outcome.ACCEPTED)]
    assert "nc=00000002" in credentials(t.requests(method)[-1])[0]
    if method == "INVITE":
        t.peer.accept_offer(b"answer")
        t.network.run(1)
    t.leg.hang_up()
    t.finish()


@rfc("3261-22.2", "3261-22.3", "7616-3.3")
@METHODS
@pytest.mark.parametrize("status", [401, 407])
def test_a_nonce_that_has_gone_stale_is_replaced(status: int, method: str, act: Callable[[Session], None]) -> None:
    t = Trunk(status=status)
    t.dial()
    t.bob.forget()
    act(t.leg)
    t.network.run(0.3)
    assert t.bob.verdicts[2:] == [(method, Outcome.STALE), (method, Outcome.ACCEPTED)]
    first, second = t.requests(method)[-2:]
    assert second.cseq.number == first.cseq.number + 1
    assert second.via.branch != first.via.branch
    assert (second.call_id, second.from_tag, second.to_tag) == (first.call_id, first.from_tag, first.to_tag)
    assert second.body == first.body
    assert len(credentials(second)) == 1
    if method == "INVITE":
        t.peer.accept_offer(b"answer")
        t.network.run(1)
        (ack,) = [ack for ack in t.requests("ACK") if ack.cseq.number == second.cseq.number]
        assert credentials(ack) == credentials(second), '13.2.2.4: "the same credentials as the INVITE"'
    t.leg.hang_up()
    t.finish()


@rfc("3261-22.3", "3262-4")
@pytest.mark.parametrize("forgets", [False, True])
def test_a_prack_carries_credentials(forgets: bool) -> None:
    t = Trunk()

    def ring(call: IncomingCall) -> None:
        if forgets:
            t.bob.forget()
        call.progress()

    t.dial(ring, Require="100rel")
    expected = [("PRACK", Outcome.ACCEPTED)]
    assert t.bob.verdicts[2:] == ([("PRACK", Outcome.STALE), *expected] if forgets else expected)
    pracks = t.requests("PRACK")
    assert len({prack.require("RAck") for prack in pracks}) == 1
    assert [prack.cseq.number for prack in pracks] == list(range(3, 3 + len(pracks)))
    t.peer.answer(b"answer")
    t.network.run(1)
    assert t.alice.told_by(t.leg)[-1] == Answered(b"answer")
    t.leg.hang_up()
    t.finish()


@rfc("3261-22.3", "3311-5.1")
def test_an_update_before_the_answer_carries_credentials() -> None:
    t = Trunk()
    t.dial(lambda call: call.progress(183, b"early"))
    t.bob.forget()
    t.leg.update(b"other")
    t.network.run(0.5)
    assert isinstance(t.bob.told_by(t.peer)[-1], Reoffered)
    t.peer.accept_offer(b"answer")
    t.network.run(0.5)
    assert t.exchange("UPDATE") == ["UPDATE", "407 UPDATE", "UPDATE", "200 UPDATE"]
    t.peer.answer(b"")
    t.network.run(1)
    t.leg.hang_up()
    t.finish()


@rfc("3261-22.1", "3261-13.2.2.4")
@pytest.mark.parametrize("forgets", [False, True])
def test_a_call_answered_although_given_up_is_ended_with_credentials(forgets: bool) -> None:
    t = Trunk()
    t.dial(lambda call: call.progress())
    t.leg.hang_up()  # the CANCEL crosses the answer
    t.peer.answer(b"answer")
    if forgets:
        t.bob.forget()
    t.network.run(1)
    (cancel,) = t.requests("CANCEL")
    assert credentials(cancel) == [], "a CANCEL cannot be challenged: it could not be sent again"
    assert credentials(t.requests("ACK")[-1]) == credentials(t.requests("INVITE")[-1])
    assert t.exchange("BYE") == (["BYE", "407 BYE", "BYE", "200 BYE"] if forgets else ["BYE", "200 BYE"])
    assert isinstance(t.bob.told_by(t.peer)[-1], Ended)
    t.finish()


@rfc("3261-22.1")
def test_a_cancel_carries_no_credentials_and_a_challenge_to_it_is_not_answered() -> None:
    t = Trunk()
    t.dial(lambda call: call.progress())
    t.leg.hang_up()
    (challenge,) = t.bob._realm.challenges(0.0)
    t.network.drop = lambda packet: packet.summary == "200 CANCEL"
    t.network.run(0.1)
    (cancel,) = t.requests("CANCEL")[:1]
    assert credentials(cancel) == []
    refusal = Response(407, "Proxy Authentication Required")
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        refusal.add(name, cancel.require(name))
    refusal.add("Proxy-Authenticate", challenge)
    t.alice.receive(refusal.encode(), t.alice.flow(t.bob))
    sent = len(t.requests("CANCEL"))
    t.finish()
    assert len(t.requests("CANCEL")) == sent


@rfc("3261-22.2")
def test_a_wrong_password_is_not_tried_twice_and_the_sender_is_told() -> None:
    t = Trunk()
    t.dial()
    t.leg.answer_by(Credentials("us", "another"))
    told = Told()
    t.leg.send("INFO", user=told)
    t.network.run(1)
    assert t.exchange("INFO") == ["INFO", "407 INFO", "INFO", "407 INFO"]
    assert told.statuses == [407]
    t.leg.answer_by(t.credentials)
    t.leg.send("INFO", user=told)
    t.network.run(1)
    assert told.statuses == [407, 200]
    t.network.drop = lambda packet: packet.summary == "INFO"
    t.leg.send("INFO", user=told)
    t.network.run(40)
    assert told.statuses == [407, 200, "timeout"]
    t.leg.hang_up()
    t.network.run()
    t.alice.assert_idle()


@rfc("3261-22.2")
def test_one_request_that_is_challenged_does_not_hinder_another() -> None:
    t = Trunk(password="wrong")
    t.dial()
    assert t.alice.told_by(t.leg) == [Rejected(407, "Proxy Authentication Required")]
    assert t.exchange("INVITE").count("INVITE") == 2
    t = Trunk()
    t.dial()
    t.bob.forget()
    told = Told()
    for _ in range(3):  # at once, all with the old nonce
        t.leg.send("INFO", user=told)
    t.network.run(1)
    assert told.statuses == [200] * 3
    t.leg.hang_up()
    t.finish()


def test_what_cannot_be_sent_again_is_told_as_it_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    t = Trunk()
    t.dial()
    t.bob.forget()
    told = Told()
    t.leg.send("INFO", user=told)

    def no_way(*_: object, **__: object) -> None:
        raise NoRoute

    with monkeypatch.context() as patched:
        patched.setattr(t.leg.context.courier, "request", no_way)
        t.network.run(1)
    assert told.statuses == [407]


@rfc("3261-22.2")
def test_who_was_called_answers_challenges_as_well() -> None:
    network = Network()
    alice, bob = Guarded(network, "alice"), Phone(network, "bob")
    leg = alice.call(bob.uri, sdp=b"offer")
    network.run(1)
    (call,) = bob.incoming
    call.answer_by(Credentials("us", "sesame"))
    call.hang_up()
    network.run(1)
    assert alice.verdicts == [("BYE", Outcome.MISSING), ("BYE", Outcome.ACCEPTED)]
    assert isinstance(alice.told_by(leg)[-1], Ended)
    network.run()
    alice.assert_idle()
    bob.assert_idle()


# Outside dialogs ----------------------------------------------------------------------------------------------------

ALICE = "<sip:alice@ims.example>"


class Office:
    """Alice and bob, who asks for credentials of whatever comes."""

    def __init__(self, status: int = 407) -> None:
        self.network = Network()
        self.alice, self.bob = Phone(self.network, "alice"), Guarded(self.network, "bob", status=status)
        self.credentials = Credentials("us", "sesame")

    @property
    def flow(self) -> Flow:
        return self.alice.flow(self.bob)

    def finish(self) -> None:
        self.network.run()
        self.alice.assert_idle()
        self.bob.assert_idle()


@rfc("3261-22.2", "3261-22.3", "3261-8.1.3.5")
@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS"])
def test_a_request_outside_dialogs_carries_credentials(method: str, status: int) -> None:
    office = Office(status)
    heard: list[bytes] = []
    serve_messages(office.bob.ua, lambda text: heard.append(text.body) or 200)  # type: ignore[func-returns-value]
    outcomes: list[Any] = []
    uri, ua = office.bob.uri, office.alice.ua
    for credentials in (None, Credentials("us", "wrong"), office.credentials):
        if method == "OPTIONS":
            ping(ua, office.flow, uri, ALICE, outcomes.append, credentials=credentials)
        else:
            send_message(ua, office.flow, uri, b"hello", outcomes.append, user=ALICE, credentials=credentials)
        office.network.run(1)
    assert [outcome.status for outcome in outcomes] == [status, status, 200]
    requests = [packet.message for packet in office.network.packets(method)]
    assert [message.cseq.number for message in requests] == [1, 1, 2, 1, 2]
    assert requests[-1].call_id == requests[-2].call_id
    assert requests[-1].from_tag == requests[-2].from_tag
    assert requests[-1].via.branch != requests[-2].via.branch
    assert heard == ([b"hello"] if method == "MESSAGE" else [])
    office.finish()


@rfc("3261-22.2", "3261-22.3", "6665-4.1.2.1", "6665-4.1.2.2")
def test_a_subscription_carries_credentials_from_beginning_to_end() -> None:
    office = Office()
    weather = Weather()
    serve_events(office.bob.ua, [weather])
    told: list[SubscriberEvent] = []
    wish = Wish(office.bob.uri, EventValue("weather", "", {}), (WEATHER,), ALICE, 600)
    subscriber = Subscriber(office.alice.ua, office.flow, wish, told.append, credentials=office.credentials)
    subscriber.start()
    office.network.run(1)
    assert isinstance(told[-1], Notified)
    office.network.run(600)
    office.bob.forget()
    office.network.run(600)
    assert subscriber.is_active
    subscriber.unsubscribe()
    office.network.run(1)
    outcomes = [outcome for method, outcome in office.bob.verdicts if method == "SUBSCRIBE"]
    assert outcomes[:3] == [Outcome.MISSING, Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert outcomes.count(Outcome.STALE) == 1
    assert outcomes[-1] is Outcome.ACCEPTED
    numbers = [packet.message.cseq.number for packet in office.network.packets("SUBSCRIBE")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert not any(isinstance(event, Unsubscribed) for event in told)
    office.finish()


@rfc("3261-22.2", "3261-22.3", "3515-2.4.6")
@pytest.mark.parametrize("within", [False, True])
def test_a_refer_carries_credentials_and_its_reports_are_found_by_its_last_number(within: bool) -> None:
    office = Office()
    referrals: list[Referral] = []
    serve_shared_dialogs(office.alice.ua)
    serve_referrals(office.bob.ua, referrals.append)
    told: list[ReferEvent] = []
    leg = office.alice.ua.outgoing(office.flow, lambda _: None, credentials=office.credentials)
    if within:
        leg.start(office.bob.uri, caller=ALICE, callee=f"<{office.bob.uri}>", sdp=b"offer")
        office.network.run(1)
        office.bob.forget()
        Referring(office.alice.ua, told.append).within(leg, "<sip:carol@ims.example>")
    else:
        referring = Referring(office.alice.ua, told.append, credentials=office.credentials)
        referring.outside(office.flow, office.bob.uri, ALICE, "<sip:carol@ims.example>")
    office.network.run(0.3)
    (referral,) = referrals
    referral.accept()
    office.network.run(1)
    assert told == [ReferAccepted(reports=True), ReferProgress(100, "Trying")]
    refers = [packet.message for packet in office.network.packets("REFER")]
    assert len(refers) == 2
    referral.finish(200, "OK")
    office.network.run(1)
    assert told[-1] == ReferFinished(200, "OK")
    leg.hang_up()
    office.finish()


def test_a_refer_that_is_challenged_when_nobody_waits_any_more_leaves_nothing() -> None:
    office = Office()
    told: list[ReferEvent] = []
    challenge = office.network.clock
    office.network.drop = lambda packet: packet.summary == "407 REFER" and challenge.now < 31
    referring = Referring(office.alice.ua, told.append, credentials=office.credentials)
    referring.outside(office.flow, office.bob.uri, ALICE, "<sip:carol@ims.example>")
    office.network.run(200)
    assert len(told) == 1
    assert isinstance(told[0], ReferRefused)
    office.finish()
