"""Transfers between three of our user agents (RFC 5589), and INVITEs that replace a call (RFC 3891)."""

from __future__ import annotations

from typing import Any

import pytest

from ims_core.errors import BadRequest, SipError
from ims_core.messages.uri import parse_uri
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.referral import Referral, serve_referrals, serve_shared_dialogs
from ims_core.ua.referring import ReferEvent, ReferFinished, ReferProgress, Referring, refer_to_session
from ims_core.ua.replaces import Replacements, Replaces, parse_replaces, replaces_of, serve_replaces
from ims_core.ua.session import Session
from ims_core.ua.session_events import Acknowledged, Answered, Ended, Rejected
from tests.kit import Network, Packet, Phone
from tests.kit.network import Faults


class Transferable(Phone):
    """A phone that follows every REFER, and lets calls be replaced where ``lets_replace``."""

    def __init__(self, network: Network, name: str, *, transport: str = "UDP") -> None:
        super().__init__(network, name, transport=transport)
        self.lets_replace = True
        self.followed: list[OutgoingCall] = []
        self.replaced: list[Session] = []
        self.refers: list[ReferEvent] = []
        self.replacements: Replacements = serve_replaces(self.ua, lambda *_: self.lets_replace)
        serve_referrals(self.ua, self.follow)
        serve_shared_dialogs(self.ua)
        self.picks_up = True
        self.on_call = self.take

    def follow(self, referral: Referral) -> None:
        referral.accept()
        target = parse_uri(referral.refer_to.uri)

        def listen(event: object) -> None:
            self.told.append((call, event))  # type: ignore[arg-type]
            referral.report(event)  # type: ignore[arg-type]
            if isinstance(event, Answered) and referral.session is not None and referral.refer_to.replaces is None:
                referral.session.hang_up()

        call = self.ua.outgoing(self.flow(target.address, target.transport), listen)
        self.followed.append(call)
        call.start(
            referral.refer_to.uri,
            caller=f"<sip:{self.name}@ims.example>",
            callee=f"<{referral.refer_to.uri}>",
            sdp=b"offer of " + self.name.encode(),
            headers=referral.follow_headers,
        )

    def take(self, call: IncomingCall) -> None:
        try:
            replaced = self.replacements.match(call.request, call.identity)
        except SipError as error:
            call.reject(error.status, error.reason)
            return
        if self.picks_up or replaced is not None:
            call.answer(b"answer of " + self.name.encode())
        else:
            call.progress()
        if replaced is not None:
            self.replaced.append(replaced)
            replaced.hang_up()

    def refer(self, leg: Session, to: str) -> None:
        Referring(self.ua, self.refers.append).within(leg, to, referred_by=f"<sip:{self.name}@ims.example>")


class Three:
    """Alice talks to bob; carol is there."""

    def __init__(self, *, transport: str = "UDP", faults: Faults | None = None, seed: int = 0) -> None:
        self.network = Network(seed, faults)
        self.alice, self.bob, self.carol = (
            Transferable(self.network, name, transport=transport) for name in ("alice", "bob", "carol")
        )
        self.wait = 40 if faults else 0.2
        self.leg = self.alice.call(self.bob.uri, sdp=b"offer")
        self.network.run(self.wait)

    def finish(self) -> None:
        self.network.run()
        for phone in (self.alice, self.bob, self.carol):
            phone.assert_idle()


BAD = Faults(loss=0.2, duplicate=0.1, jitter=0.3)
NETWORKS = [("UDP", None, 0), ("TCP", None, 0), *(("UDP", BAD, seed) for seed in range(8))]


@pytest.mark.rfc("5589-6.1")
@pytest.mark.rfc("3892-2.2")
@pytest.mark.parametrize(("transport", "faults", "seed"), NETWORKS)
def test_a_blind_transfer(transport: str, faults: Faults | None, seed: int) -> None:
    three = Three(transport=transport, faults=faults, seed=seed)
    three.alice.refer(three.leg, f"<{three.carol.uri}>")
    three.network.run(three.wait)
    assert three.alice.refers[-1] == ReferFinished(200, "OK")
    (call,) = three.carol.incoming
    assert call.request.get("Referred-By") == "<sip:alice@ims.example>"
    assert call.offer == b"offer of bob"
    three.network.run(three.wait)
    assert len(three.alice.ua) == 0, "bob has left alice"
    assert len(three.bob.ua) == len(three.carol.ua) == 1
    three.bob.followed[0].hang_up()
    three.finish()


@pytest.mark.rfc("5589-6.3")
@pytest.mark.rfc("3515-2.4.5")
def test_a_blind_transfer_that_fails_leaves_the_call() -> None:
    three = Three()
    three.carol.on_call = lambda call: call.reject(486)
    three.alice.refer(three.leg, f"<{three.carol.uri}>")
    three.network.run(0.2)
    assert three.alice.refers[-1] == ReferFinished(486, "Busy Here")
    assert len(three.alice.ua) == len(three.bob.ua) == 1
    three.leg.hang_up()
    three.finish()


@pytest.mark.rfc("3515-2.4.5")
def test_a_blind_transfer_shows_how_far_it_is() -> None:
    three = Three()
    three.carol.picks_up = False
    three.alice.refer(three.leg, f"<{three.carol.uri}>")
    three.network.run(0.2)
    assert three.alice.refers[1:] == [ReferProgress(100, "Trying"), ReferProgress(180, "Ringing")]
    three.carol.incoming[0].answer(b"answer")
    three.network.run(0.2)
    assert three.alice.refers[-1] == ReferFinished(200, "OK")
    three.bob.followed[0].hang_up()
    three.finish()


@pytest.mark.rfc("5589-7.1")
@pytest.mark.rfc("3891-3")
@pytest.mark.parametrize(("transport", "faults", "seed"), NETWORKS)
def test_an_attended_transfer(transport: str, faults: Faults | None, seed: int) -> None:
    three = Three(transport=transport, faults=faults, seed=seed)
    consult = three.alice.call(three.carol.uri, sdp=b"offer")
    three.network.run(three.wait)
    three.alice.refer(three.leg, refer_to_session(consult))
    three.network.run(three.wait)
    assert three.alice.refers[-1] == ReferFinished(200, "OK")
    first, second = three.carol.incoming
    assert three.carol.replaced == [first]
    assert parse_replaces(second.request.require("Replaces")) == replaces_of(consult)
    assert three.alice.told_by(consult)[-1] == Ended(by_peer=True, reason="BYE")
    three.leg.hang_up()
    three.network.run(three.wait)
    assert (len(three.alice.ua), len(three.bob.ua), len(three.carol.ua)) == (0, 1, 1)
    assert three.carol.told_by(second)[-1] == Acknowledged(b"")
    second.hang_up()
    three.finish()


@pytest.mark.rfc("3261-12.2.2")
@pytest.mark.rfc("6665-4.2.2")
def test_a_report_that_the_bye_overtakes_comes_again() -> None:
    three = Three()
    late: list[bool] = []

    def lose_the_last_report_once(packet: Packet) -> bool:
        if packet.summary == "NOTIFY" and b"SIP/2.0 200 OK\r\n" in packet.data and not late:
            late.append(True)
            return True
        return False

    three.network.drop = lose_the_last_report_once
    three.alice.refer(three.leg, f"<{three.carol.uri}>")
    three.network.run(5)
    assert "500 NOTIFY" in three.network.wire(), "lower than the CSeq of the BYE"
    (refused,) = three.network.packets("500 NOTIFY")
    assert refused.message.get("Retry-After") == "1"
    assert three.alice.refers[-1] == ReferFinished(200, "OK")
    three.bob.followed[0].hang_up()
    three.finish()


# Replaces ------------------------------------------------------------------------------------------------------------


class Replacing:
    """Alice and carol talk, or carol calls alice; bob sends carol an INVITE with Replaces."""

    def __init__(self, state: str = "confirmed") -> None:
        self.three = Three()
        self.carol = self.three.carol
        self.carol.picks_up = state != "incoming early"
        self.talk: Session
        if state == "outgoing early":
            self.three.alice.picks_up = False
            self.talk = self.carol.call(self.three.alice.uri, sdp=b"offer")
            self.three.network.run(0.2)
            (fork,) = self.talk.forks
            other = fork
        else:
            leg = self.three.alice.call(self.carol.uri, sdp=b"offer")
            self.three.network.run(0.2)
            self.talk = self.carol.incoming[0]
            other = leg.dialog_id[1]
        self.wanted = Replaces(self.talk.dialog_id[0], self.talk.dialog_id[1], other)

    def invite(self, *values: object) -> list[object]:
        """What bob is told of an INVITE to carol with these Replaces."""
        headers = tuple(("Replaces", str(value)) for value in values)
        call = self.three.bob.call(self.carol.uri, sdp=b"offer", headers=headers)
        self.three.network.run(0.2)
        told: list[object] = list(self.three.bob.told_by(call))
        call.hang_up()
        self.three.network.run(0.2)
        return told

    def finish(self) -> None:
        self.three.leg.hang_up()
        self.talk.hang_up()
        self.three.finish()


@pytest.mark.rfc("3891-3")
@pytest.mark.parametrize("state", ["confirmed", "outgoing early"])
def test_a_call_is_replaced(state: str) -> None:
    scene = Replacing(state)
    assert scene.invite(scene.wanted) == [Answered(b"answer of carol")]
    assert scene.carol.replaced == [scene.talk]
    assert scene.three.network.wire().count("CANCEL") == (state == "outgoing early")
    scene.finish()


@pytest.mark.rfc("3891-3")
@pytest.mark.parametrize(
    ("state", "changes", "status"),
    [
        ("confirmed", {"call_id": "other"}, 481),
        ("confirmed", {"to_tag": "other"}, 481),
        ("confirmed", {"from_tag": "other"}, 481),
        ("confirmed", {"from_tag": "0"}, 481),
        ("confirmed", {"early_only": True}, 486),
        ("incoming early", {}, 481),
        ("incoming early", {"early_only": True}, 481),
    ],
)
def test_what_may_not_be_replaced_is_left_as_it_is(state: str, changes: dict[str, Any], status: int) -> None:
    scene = Replacing(state)
    before = scene.talk.state
    (told,) = scene.invite(scene.wanted._replace(**changes))
    assert isinstance(told, Rejected)
    assert told.status == status
    assert scene.talk.state == before
    assert scene.carol.replaced == []
    scene.finish()


@pytest.mark.rfc("3891-3")
def test_early_only_replaces_an_early_call() -> None:
    scene = Replacing("outgoing early")
    assert scene.invite(scene.wanted._replace(early_only=True)) == [Answered(b"answer of carol")]
    scene.finish()


@pytest.mark.rfc("3891-3")
def test_a_call_that_is_over_is_declined() -> None:
    scene = Replacing()
    scene.talk.hang_up()
    scene.three.network.run(0.2)
    (told,) = scene.invite(scene.wanted)
    assert told == Rejected(603, "Decline")
    scene.finish()


def test_only_so_many_calls_that_are_over_are_remembered() -> None:
    scene = Replacing()
    scene.carol.replacements._remembered = 2
    scene.talk.hang_up()
    for _ in range(2):
        leg = scene.three.alice.call(scene.carol.uri, sdp=b"offer")
        scene.three.network.run(0.2)
        leg.hang_up()
        scene.three.network.run(0.2)
    assert len(scene.carol.replacements._ended) == 2
    (told,) = scene.invite(scene.wanted)
    assert told == Rejected(481, "Call/Transaction Does Not Exist")
    scene.finish()


@pytest.mark.rfc("3891-4")
def test_not_everybody_may_replace() -> None:
    scene = Replacing()
    scene.carol.lets_replace = False
    (told,) = scene.invite(scene.wanted)
    assert told == Rejected(403, "Forbidden")
    scene.finish()


@pytest.mark.rfc("3891-3")
def test_two_replaces_or_a_malformed_one_are_refused() -> None:
    scene = Replacing()
    for values in ((scene.wanted, scene.wanted), ("a@b;to-tag=1",), (";to-tag=1;from-tag=2",)):
        (told,) = scene.invite(*values)
        assert isinstance(told, Rejected)
        assert told.status == 400
    assert scene.carol.replaced == []
    scene.finish()


@pytest.mark.rfc("3891-6.1")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("98732@sip.x;from-tag=r33th4x0r ;to-tag=ff87ff", Replaces("98732@sip.x", "ff87ff", "r33th4x0r")),
        ("a ; To-Tag=1;from-tag=0;early-only;x=y", Replaces("a", "1", "0", early_only=True)),
        ("a;to-tag=1", None),
        ("a;to-tag=1;to-tag=2;from-tag=3", None),
        ("", None),
    ],
)
def test_a_replaces_value_is_read(text: str, found: Replaces | None) -> None:
    if found is None:
        with pytest.raises(BadRequest):
            parse_replaces(text)
    else:
        assert parse_replaces(text) == found
        assert parse_replaces(str(found)) == found


@pytest.mark.rfc("3891-6.2")
def test_replaces_is_supported_only_where_it_is_handled() -> None:
    network = Network()
    assert "replaces" in Transferable(network, "carol").ua.supported.split(", ")
    assert "replaces" not in Phone(network, "dave").ua.supported
