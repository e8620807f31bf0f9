"""A proxy that keeps no state, in front of another element: for a lab, or to spread load over what does keep it.

python examples/stateless_proxy.py sip:127.0.0.1:5070 [udp:127.0.0.1:5060 ...]
"""

import asyncio
import random
import secrets
import sys

from ims_core.flow import Flow, format_address
from ims_core.ids import Ids
from ims_core.messages.message import Request
from ims_core.proxy.forking import Target
from ims_core.proxy.stateless import StatelessProxy
from ims_core.registrar.location import Domains, Location
from ims_core.transactions.endpoint import Endpoint
from ims_core.transport.stack import Stack


async def main(next_hop: str, listen: list[str]) -> None:
    def forward(request: Request, flow: Flow) -> Target:
        return Target(request.uri, route=(f"<{next_hop};lr>",))

    stack = Stack()
    told = {}
    for transport, host, port in (listener.split(":") for listener in listen):
        local = await stack.bind(transport.upper(), host, int(port))
        told[transport.upper(), local] = format_address(local)
    ids = Ids(random.Random(secrets.randbits(256)).getrandbits)
    stack.attach(
        StatelessProxy(
            Endpoint(clock=asyncio.get_running_loop().time, ids=ids, sent_by=told),
            domains=Domains("localhost", told.values()),
            location=Location(),
            route=forward,
            advertised=told,
            secret=secrets.token_bytes(16),
        )
    )
    print("forwarding from", *told, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:] or ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]))
