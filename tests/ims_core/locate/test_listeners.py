"""With several listeners, a request leaves by one that can reach its peer."""

import pytest

from ims_core.flow import Address, Flow
from ims_core.locate.listeners import Listeners

LOOP, OUTER, OTHER = ("127.0.0.1", 5060), ("192.0.2.1", 5060), ("203.0.113.1", 5060)
LOOP6, OUTER6 = ("::1", 5060), ("2001:db8::1", 5060)


@pytest.mark.rfc("3261-18.1.1")
@pytest.mark.parametrize(
    ("bound", "to", "by"),
    [
        ([LOOP, OUTER, OTHER], "192.0.2.9", OUTER),
        ([OUTER, LOOP], "127.0.0.7", LOOP),
        ([OTHER, OUTER], "192.0.2.9", OTHER),
        ([OUTER], "127.0.0.1", OUTER),
        ([LOOP], "192.0.2.9", LOOP),
        ([LOOP, OUTER, OUTER6, LOOP6], "2001:db8::9", OUTER6),
        ([LOOP, OUTER, OUTER6, LOOP6], "::1", LOOP6),
        ([LOOP, OUTER], "::1", None),
    ],
)
def test_the_first_listener_that_reaches_the_peer(bound: list[Address], to: str, by: Address | None) -> None:
    flow = Listeners(("UDP", local) for local in bound).towards("UDP", (to, 5070))
    assert flow == (by and Flow("UDP", by, (to, 5070)))


def test_another_transport_is_another_listener() -> None:
    listeners = Listeners([("UDP", LOOP), ("TLS", ("127.0.0.1", 5061))])
    assert listeners.towards("TLS", ("127.0.0.2", 5061)) == Flow("TLS", ("127.0.0.1", 5061), ("127.0.0.2", 5061))
    assert listeners.towards("TCP", ("127.0.0.2", 5060)) is None
