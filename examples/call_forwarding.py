"""Call forwarding as an application server: calls to a number go to another one, all else goes on as it came.

python examples/call_forwarding.py +8613800000002 sip:+8613800000001@ims.example [udp:127.0.0.1:5066 ...]

An S-CSCF asks it over ISC for what the service profile of the user says (TS 24.229 section 5.7.3), as for INVITEs in
the case "terminating".
"""

import asyncio
import sys

from ims_core.element import Element
from ims_core.errors import Forbidden
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.proxy.forking import Target
from ims_core.proxy.routes import routes_beyond
from ims_core.roles.routing import Decision, Forward
from ims_core.ua.retargeting import UNCONDITIONAL, retargeted


async def main(number: str, target: str, listen: list[str]) -> None:
    def divert(request: Request, flow: Flow, now: float) -> Decision:
        if not (scscf := routes_beyond(request, element.domains.serves)):
            raise Forbidden("Not from an S-CSCF")
        if request.method == "INVITE" and request.target.user == number:
            request = retargeted(request, target, UNCONDITIONAL)
        return Forward((Target(request.uri, route=scscf),), request)

    async with Element(*listen) as element:
        element.route = divert
        print("diverting at", *element.addresses, flush=True)
        await element.forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:] or ["udp:127.0.0.1:5066", "tcp:127.0.0.1:5066"]))
