"""SIP in memory: a clock that the test turns, a network with faults, elements and phones on it.

    network = Network(seed=7, faults=Faults(loss=0.2, duplicate=0.1, jitter=0.3))
    alice, bob = Phone(network, "alice"), Phone(network, "bob")
    bob.on_call = lambda call: call.answer(b"answer")
    leg = alice.call(bob.uri, sdp=b"offer")
    network.run()                 # until nobody has anything left to do
    assert network.is_quiet()

What is seeded alike happens alike. Times are virtual seconds since the network was made.
"""

from tests.kit.messages import request_bytes, response_bytes
from tests.kit.network import Clock, Element, Faults, Network, Packet, seeded_ids
from tests.kit.pair import Pair
from tests.kit.party import Party
from tests.kit.phone import DOMAIN, PASSWORD, Phone
from tests.kit.site import NODE_ADDRESS, SERVICE_NUMBER, Site

__all__ = [
    "DOMAIN", "NODE_ADDRESS", "PASSWORD", "SERVICE_NUMBER", "Clock", "Element", "Faults", "Network", "Packet", "Pair",
    "Party", "Phone", "Site", "request_bytes", "response_bytes", "seeded_ids",
]  # fmt: skip
