"""Whatever an S-CSCF is sent, it decides or refuses (RFC 4475 section 3.1.2: what cannot be read does no harm)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.errors import SipError
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.roles.routing import Decision
from tests.kit.isc import ALICE, BOB, HERE, HOTLINE, ORIG, SCSCF, Core, criterion

URIS = (
    ALICE, BOB, f"sip:{HOTLINE}@ims.example", "tel:+8613800000002", f"sip:{HERE}", "sips:a@ims.example", "tel:",
    "sip:%@x", "sip:[::1", "urn:service:sos", "", "x", "sip:a@ims.example;user=phone",
    "sip:+1;x=y@ims.example;user=phone", "tel:1;phone-context=+", "sip:\udcff@ims.example",
)  # fmt: skip
PIECES = (
    *URIS,
    "<",
    ">",
    ";",
    ",",
    '"',
    "=",
    " ",
    "orig",
    "odi.",
    "odi.AAAA",
    f"@{HERE};lr",
    ";orig",
    "lr",
    "icid-value=",
)
NAMES = (
    "Route", "P-Asserted-Identity", "P-Served-User", "P-Charging-Vector", "Privacy", "Event", "From", "To", "Call-ID",
    "P-Called-Party-ID", "Max-Forwards",
)  # fmt: skip
values = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.sampled_from([
    ORIG[1], f"<{ALICE}>", f"<{BOB}>", f"<sip:{HERE};lr;orig>", "icid-value=1;orig-ioi=x", "reg",
])  # fmt: skip


@pytest.fixture(scope="module")
def core() -> Core:
    """One for all examples: it keeps nothing of a request."""
    made = Core(watched="desk")
    made.profiles["alice"] = (criterion(1, "sip:198.51.100.9"),)
    made.profiles["bob"] = (criterion(1, "sip:us@ims.example"),)
    return made


@pytest.mark.rfc("TS24.229-5.4.3.1")
@settings(max_examples=400)
@given(
    method=st.sampled_from(("INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS", "FROB")),
    uri=st.sampled_from(URIS),
    headers=st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=8),
    is_inside=st.booleans(),
)
def test_it_decides_or_refuses(
    core: Core, method: str, uri: str, headers: list[tuple[str, str]], is_inside: bool
) -> None:
    request = Request(method, uri)
    for name, value in headers:
        request.add(name, value)
    written = request.lines.copy()
    sender = core.edge if is_inside else core.outside
    decision: Decision | None = None
    with suppress(SipError):
        decision = core.scscf.route(request, Flow("UDP", SCSCF, sender.address), 0.0)
    assert request.lines == written, "who received a message must not change it"
    assert request.uri == uri
    if decision is not None:
        again = core.scscf.route(request, Flow("UDP", SCSCF, sender.address), 0.0)
        assert type(again) is type(decision)
