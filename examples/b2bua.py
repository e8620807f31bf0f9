"""A B2BUA: every call that comes in is made anew to a peer, and the two are one call for those who talk.

python examples/b2bua.py 127.0.0.1:5070 [udp:127.0.0.1:5060 ...]
"""

import asyncio
import sys

from ims_core.bridge import bridge
from ims_core.calls import Call
from ims_core.element import Element


async def main(peer: str, listen: list[str]) -> None:
    async def serve(near: Call) -> None:
        target, reliable = f"sip:{near.called}@{peer}", near.takes_reliable
        async with element.call(target, caller=near.caller, sdp=near.offered, reliable=reliable) as far:
            await bridge(near, far)

    async with Element(*listen) as element:
        element.serve = serve
        print("bridging from", *element.addresses, flush=True)
        await element.forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:] or ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]))
