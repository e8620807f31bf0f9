"""A proxy in front of another element: new requests go there, and it stays in the path of the dialogs they make.

python examples/proxy.py sip:127.0.0.1:5070 [udp:127.0.0.1:5060 ...]
"""

import asyncio
import sys

from ims_core.element import Element
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.proxy.forking import Target
from ims_core.roles.routing import Decision, Forward


async def main(next_hop: str, listen: list[str]) -> None:
    def forward(request: Request, flow: Flow, now: float) -> Decision:
        return Forward((Target(request.uri, route=(f"<{next_hop};lr>",)),))

    async with Element(*listen) as element:
        element.route = element.register = forward
        print("forwarding from", *element.addresses, flush=True)
        await element.forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:] or ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]))
