"""Kamailio as P-CSCF in front of our S-CSCF, with its IMS modules, and as registrar behind our P-CSCF.

Of its IMS modules those for a P-CSCF run without Diameter (ims_usrloc_pcscf, ims_registrar_pcscf); those for an S-CSCF
(ims_auth, ims_registrar_scscf, ims_icscf) do not start without a peer for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Kamailio
from tests.peers.kit.ims import DOMAIN, NUMBERS, Core, Handset, Phone
from tests.peers.test_kamailio_neighbour import kamailio, lines

PCSCF = Path(__file__).with_name("kamailio_pcscf.cfg")
SCSCF = Path(__file__).with_name("kamailio_scscf.cfg")
MODULES = ("/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/kamailio/modules")

pytestmark = [pytest.mark.peer("kamailio"), pytest.mark.peer("sipp")]
has_ims_modules = pytest.mark.skipif(
    not any(Path(place, "ims_registrar_pcscf.so").exists() for place in MODULES), reason="no kamailio-ims-modules here"
)


class Behind:
    """Our S-CSCF and application server, with Kamailio in the place of the P-CSCF."""

    def __init__(self, bench: Bench) -> None:
        port = bench.port()
        self.core = Core(bench, "hops", **{"ims.run": ["scscf", "as"], "ims.pcscf.uri": f"sip:127.0.0.1:{port}"})
        scscf = f"sip:127.0.0.1:{self.core.scscf_port}"
        self.pcscf = Kamailio(PCSCF, bench.directory, port, {"NEXT": scscf})
        bench.keep(self.pcscf)
        try:
            self.pcscf.wait_until_ready()
        except AssertionError:
            if not self.pcscf.running and "ims_ipsec_pcscf" in self.pcscf.output:
                pytest.skip("its IPsec module, which the others need, may not use XFRM here")
            raise
        self.core.address = self.pcscf.address


@has_ims_modules
@pytest.mark.rfc("TS24.229-5.4.1.2", "3327-5.3", "3608-5")
def test_its_p_cscf_in_front_of_our_s_cscf(bench: Bench) -> None:
    behind = Behind(bench)
    caller, callee = Handset(behind.core, 1), Handset(behind.core, 2)
    registered = caller.register()
    assert registered.said("is") == [f"<sip:{NUMBERS[0]}@{DOMAIN}>, <tel:{NUMBERS[0]}>"]
    callee.register()
    phone = callee.waits()
    caller.calls(NUMBERS[1])
    phone.succeed()
    (invite,) = phone.heard("INVITE ")
    assert lines(invite, "P-Asserted-Identity") == [f"<sip:{NUMBERS[0]}@{DOMAIN}>", f"<tel:{NUMBERS[0]}>"]
    assert lines(invite, "P-Called-Party-ID") == [f"<sip:{NUMBERS[1]}@{DOMAIN}>"]
    caller.calls("10002")
    caller.register(0)
    kinds = [line["kind"] for line in behind.core.registrar.logged("registration.changed")]
    assert kinds == ["initial", "initial", "de"]


@pytest.mark.rfc("TS24.229-5.2.2", "TS24.229-5.2.6.3", "TS24.229-5.2.6.4", "3327-5.1", "3608-6.2")
def test_our_p_cscf_in_front_of_its_registrar(bench: Bench) -> None:
    theirs = kamailio(bench, SCSCF, {})
    next_hop = "sip:{}:{}".format(*theirs.address)
    settings = {"ims.run": ["pcscf"], "ims.scscf.uri": next_hop, "server.domain": "ims.example"}
    core = Core(bench, "hops", **settings)
    caller, callee = (Phone(core, user, domain="ims.example") for user in ("alice", "bob"))
    registered = caller.register()
    assert registered.said("is") == ["<sip:alice@ims.example>, <tel:+8610alice>"]
    assert registered.said("goes") == [f"<sip:orig@{next_hop.removeprefix('sip:')};lr>"]
    callee.register()
    phone = callee.waits()
    call = caller.calls("bob")
    phone.succeed()
    (invite,) = phone.heard("INVITE ")
    assert lines(invite, "P-Asserted-Identity") == ["<sip:alice@ims.example>"], "and not the operator, as it claims"
    assert lines(invite, "P-Charging-Vector") == lines(invite, "P-Access-Network-Info") == []
    assert call.said("reached") == ["<sip:bob@ims.example>"]
    (line,) = core.servers[0].logged("registration.not_watched")
    assert (line["reason"], line["retry_in"]) == ("482", None), "it sends a SUBSCRIBE on to the phone, that is, to us"
    caller.register(0)
    caller.start("ims_refused", number="bob", changes={"STATUS": "403"}).succeed()
