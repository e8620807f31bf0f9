"""A handset watches its own registration through the IMS core of ``configs/ims.toml``, in each of its shapes."""

from __future__ import annotations

import pytest

from tests.ims_core.ua.test_reg_info import read, tag
from tests.peers.conftest import Bench
from tests.peers.kit.ims import DOMAIN, NUMBERS, SHAPES, Core, Handset, Shape

pytestmark = pytest.mark.peer("sipp")


@pytest.mark.rfc("TS24.229-5.1.1.3", "TS24.229-5.4.2.1.1", "TS24.229-5.4.2.1.2", "3680-5.1")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_handset_is_told_of_its_own_registration_until_it_leaves(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    handset = Handset(core, 1)
    credentials = ["-au", handset.private, "-auth_uri", DOMAIN]
    sipp = handset.start("ims_watch", options=credentials, changes={" USIM": f" {handset.usim}"})
    sipp.succeed()
    # SIPp waits for a NOTIFY to be repeated that came before the response which may come at any time
    documents = [read(line.encode()) for line in dict.fromkeys(sipp.said("told"))]
    sip, tel = f"sip:{NUMBERS[0]}@{DOMAIN}", f"tel:{NUMBERS[0]}"
    assert [[(each.get("aor"), each.get("state"), each[0].get("event")) for each in one] for one in documents] == [
        [(sip, "active", "registered"), (tel, "active", "created")],
        [(sip, "terminated", "unregistered"), (tel, "terminated", "unregistered")],
    ]
    for contact in (contact for document in documents for contact in document.iter(tag("contact"))):
        assert (contact[0].text or "").startswith(f"sip:{NUMBERS[0]}@127.0.0.1:{handset.port}")
        assert contact[-1].get("name") == "+g.3gpp.smsip"
