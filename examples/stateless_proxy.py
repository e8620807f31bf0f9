"""A proxy that keeps no state, in front of another element: for a lab, or to spread load over what does keep it.

python examples/stateless_proxy.py sip:127.0.0.1:5070 [udp:127.0.0.1:5060 ...]

The element must be named by its IP address: a name may be found elsewhere the next time.
"""

import asyncio
import sys

from ims_core.element import StatelessElement
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.proxy.forking import Target


async def main(next_hop: str, listen: list[str]) -> None:
    def forward(request: Request, flow: Flow) -> Target:
        return Target(request.uri, route=(f"<{next_hop};lr>",))

    async with StatelessElement(*listen, forward=forward) as element:
        print("forwarding from", *element.addresses, flush=True)
        await element.forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:] or ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]))
