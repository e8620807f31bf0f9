"""The IMS core as ``configs/ims.toml`` ships it, with SIPp as handsets: registered by AKA, through all hops."""

from __future__ import annotations

import re
import signal
import socket

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit.ims import DOMAIN, NUMBERS, SHAPES, SHIPPED, Core, Handset, Phone, Shape
from tests.peers.kit.process import wait_until
from tests.peers.test_kamailio_neighbour import lines

pytestmark = pytest.mark.peer("sipp")
by_each_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.mark.rfc("TS24.229-5.4.1.2", "TS24.229-5.2.2", "3310-3", "3608-5", "7315-4.1")
@by_each_shape
def test_handsets_register_again_and_leave(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    handset = Handset(core, 1)
    for _ in range(2):
        registered = handset.register()
        assert registered.said("is") == [f"<sip:{NUMBERS[0]}@{DOMAIN}>, <tel:{NUMBERS[0]}>"]
        (route,) = registered.said("goes")
        assert route == f"<sip:orig@127.0.0.1:{core.scscf_port};lr>"
    handset.register(0)
    kinds = [line["kind"] for line in core.registrar.logged("registration.changed")]
    assert kinds == ["initial", "re", "de"]
    refused = handset.start("ims_refused", number=NUMBERS[1], changes={"STATUS": "403"})
    refused.succeed()


@pytest.mark.rfc("TS24.229-5.2.6.3", "TS24.229-5.2.6.4", "TS24.229-5.4.3", "3325-5", "7315-4.2")
@by_each_shape
def test_one_handset_calls_the_other(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    caller, callee = Handset(core, 1), Handset(core, 2)
    caller.register()
    callee.register()
    phone = callee.waits()
    call = caller.calls(NUMBERS[1])
    phone.succeed()
    (invite,) = phone.heard("INVITE ")
    assert lines(invite, "P-Asserted-Identity") == [f"<sip:{NUMBERS[0]}@{DOMAIN}>", f"<tel:{NUMBERS[0]}>"]
    assert lines(invite, "P-Called-Party-ID") == [f"<sip:{NUMBERS[1]}@{DOMAIN}>"]
    for name in ("P-Charging-Vector", "P-Access-Network-Info", "P-Preferred-Identity", "P-Served-User"):
        assert lines(invite, name) == [], "not for handsets"
    assert call.said("reached") == [f"<sip:{NUMBERS[1]}@{DOMAIN}>"]
    assert len(lines(invite, "Via")) == (2 if shape == "together" else 4), "P-CSCF, S-CSCF, P-CSCF"


@pytest.mark.rfc("TS24.229-5.4.3.2", "TS24.229-5.7.1", "TS23.218-6.4", "7315-4.6")
@by_each_shape
def test_the_hotline_is_reached_through_all_hops(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    handset = Handset(core, 1)
    handset.register()
    handset.calls("10000", pause=1.0)
    handset.calls("10002")
    core.engine.wait_until_idle()
    ended = {line["dialled"]: line for line in core.engine.logged("call.ended")}
    assert ended.keys() == {"10000", "10002"}
    assert {line["caller"] for line in ended.values()} == {NUMBERS[0]}
    assert {line["outcome"] for line in ended.values()} == {"no_agent", "served"}
    charged = [record["icid"] for record in core.engine.items("cdrs")]
    assert all(charged)
    assert len(set(charged)) == 2, "one for each dialog"


@pytest.mark.rfc("TS24.229-5.4.1.7", "TS24.229-5.4.1.2.2")
@by_each_shape
def test_an_agent_who_registers_with_digest_is_called_by_the_queue(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    caller = Handset(core, 1)
    caller.register()
    phone = Phone(core, "1001")
    phone.register()
    core.engine.wait_for_agent("1001", "ready")
    agent = phone.waits()
    caller.calls("10001", pause=4.0)
    agent.succeed()
    core.engine.wait_until_idle()
    (ended,) = core.engine.logged("call.ended")
    assert (ended["agent"], ended["outcome"]) == ("1001", "answered")
    phone.register(0)
    core.engine.wait_for_agent("1001", "logged_out")


@pytest.mark.rfc("TS24.229-5.2.6.3.3", "TS24.229-5.2.10.4", "5031-4.2")
@by_each_shape
def test_who_is_not_registered_is_refused_unless_it_is_an_emergency(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    handset = Handset(core, 1)
    handset.start("ims_refused", number="10000", changes={"STATUS": "403"}).succeed()
    told = handset.start("ims_refused", number="110", changes={"STATUS": "380"})
    told.succeed()
    (answer,) = told.heard("SIP/2.0 380")
    assert re.search("<type>emergency</type>", answer)


@pytest.mark.rfc("TS24.229-5.4.1.5")
@by_each_shape
def test_an_operator_takes_a_handset_off_the_network(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    handset = Handset(core, 1)
    handset.register()
    (registered,) = core.registrar.items("registrations")
    assert registered["identity"] == f"sip:{NUMBERS[0]}@{DOMAIN}"
    assert registered["private"] == handset.private
    before = core.registrar.metrics()
    assert before["acd_ims_registered_contacts"] == 1
    assert before["acd_ims_authentications_total{outcome=accepted,scheme=aka}"] == 1
    assert before["acd_ims_registrations_total{kind=initial}"] == 1
    assert all(before[f"acd_ims_subscriber_failures_total{{operation={what}}}"] == 0 for what in ("read", "write"))
    status, answer = core.registrar.change("DELETE", f"registrations/tel:{NUMBERS[0]}?reason=rejected")
    assert (status, answer) == (200, {"contacts": 1})
    assert core.registrar.items("registrations") == []
    assert core.registrar.metrics()["acd_ims_registered_contacts"] == 0
    status, answer = core.registrar.change("DELETE", "registrations/sip:nobody@elsewhere.example")
    assert (status, answer["detail"]) == (404, "'sip:nobody@elsewhere.example' is nobody's identity")
    status, answer = core.registrar.change("DELETE", "registrations/nonsense")
    assert (status, answer["detail"]) == (400, "'nonsense' is no SIP or tel URI")


@pytest.mark.rfc("TS24.229-5.3.1.2", "TS24.229-5.4.1.2.1A", "TS24.229-7.2A.1", "TS24.229-5.2.2")
def test_the_keys_of_a_challenge_go_to_a_p_cscf_and_nobody_else_is_challenged(bench: Bench) -> None:
    place = "127.0.0.1", bench.port()
    behind = Core(bench, "hops", **{"ims.run": ["scscf", "as"], "ims.pcscf.uri": "sip:{}:{}".format(*place)})
    challenge = answer_to_register(place, behind.scscf_port)
    assert challenge.startswith("SIP/2.0 401 ")
    assert re.search(', ik="[0-9a-f]{32}", ck="[0-9a-f]{32}"', challenge)
    for stranger in (("127.0.0.1", 0), ("127.0.0.2", 0)):
        assert answer_to_register(stranger, behind.scscf_port).startswith("SIP/2.0 403 ")


@pytest.mark.rfc("TS24.229-5.2.2")
def test_the_keys_of_a_challenge_do_not_reach_a_handset(bench: Bench) -> None:
    core = Core(bench, "hops")
    challenge = answer_to_register(("127.0.0.1", 0), core.address[1])
    assert challenge.startswith("SIP/2.0 401 ")
    assert "AKAv1-MD5" in challenge
    assert not re.search("[ci]k=", challenge)


def answer_to_register(place: tuple[str, int], port: int) -> str:
    """What a hop says to the first REGISTER of a handset, as it is sent from a place."""
    identity, private = f"<sip:{NUMBERS[0]}@{DOMAIN}>", SHIPPED["subscribers"][0]["private"]
    register = "\r\n".join([
        f"REGISTER sip:{DOMAIN} SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK1", "Max-Forwards: 70",
        f"From: {identity};tag=1", f"To: {identity}", "Call-ID: 1", "CSeq: 1 REGISTER",
        f'Authorization: Digest username="{private}", realm="{DOMAIN}", nonce="", response=""', "", "",
    ])  # fmt: skip
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(10)
        phone.bind(place)
        phone.sendto(register.encode(), ("127.0.0.1", port))
        return phone.recv(4096).decode()


@pytest.mark.rfc("TS24.229-5.4.1.5", "TS29.228-6.1.3")
@by_each_shape
def test_who_is_no_subscriber_any_more_is_taken_off_the_network(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    stays, goes = Handset(core, 1), Handset(core, 2)
    stays.register()
    goes.register()
    file = core.registrar.config
    before, _, rest = file.read_text().rpartition("[[subscribers]]")
    file.write_text(before + rest.partition("\n\n")[2])
    core.registrar.signal(signal.SIGHUP)
    wait_until(lambda: core.registrar.logged("config.installed"), 10, "config.installed")
    (left,) = core.registrar.items("registrations")
    assert left["private"] == stays.private
    last = core.registrar.logged("registration.changed")[-1]
    assert (last["identity"], last["kind"]) == (f"sip:{NUMBERS[1]}@{DOMAIN}", "de")
    assert last["contacts"][0].endswith(" rejected")
    stays.register()


@pytest.mark.rfc("TS24.229-5.2.2")
@pytest.mark.parametrize("shape", ["processes", "together"])
def test_registrations_outlive_a_restart_of_the_s_cscf(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    caller, callee = Handset(core, 1), Handset(core, 2)
    callee.register()
    caller.register()
    core.restart_registrar()
    phone = callee.waits()
    caller.calls(NUMBERS[1])
    phone.succeed()


@pytest.mark.rfc("TS24.229-5.3.2.1", "TS24.229-5.4.3.3")
@by_each_shape
def test_a_trunk_calls_a_handset_by_its_number(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape, **{"trunks.carrier.sources": ["127.0.0.3"]})
    handset = Handset(core, 2)
    handset.register()
    phone = handset.waits()
    keys = {"caller": "+861065550000", "domain": DOMAIN}
    carrier = bench.sipp("ims_call", remote=core.server, host="127.0.0.3", number=NUMBERS[1], pause=0.2, keys=keys)
    carrier.succeed()
    phone.succeed()
    assert carrier.said("reached") == [f"<sip:{NUMBERS[1]}@{DOMAIN}>"]
    (invite,) = phone.heard("INVITE ")
    assert lines(invite, "P-Called-Party-ID") == [f"<sip:{NUMBERS[1]}@{DOMAIN}>"]
    stranger = bench.sipp(
        "ims_refused", remote=core.server, host="127.0.0.4", number=NUMBERS[1], keys=keys, changes={"STATUS": "403"}
    )
    stranger.succeed()
