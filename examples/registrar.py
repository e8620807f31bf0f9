"""A registrar: phones of lab.example register with a password; who comes and goes is printed, and calls get 480.

python examples/registrar.py [udp:127.0.0.1:5060 ...]
"""

import asyncio
import secrets
import sys

from ims_core.element import Element
from ims_core.registrar.registrar import Registrar
from ims_core.security.digest import DigestAuthenticator

PASSWORDS = {"alice": "wonderland", "bob": "builder"}


async def main(listen: list[str]) -> None:
    async with Element(*listen, domain="lab.example") as element:
        authenticator = DigestAuthenticator("lab.example", PASSWORDS.get, secrets.token_bytes(16))
        registrar = Registrar(element.domains, element.location, element.ids, authenticator=authenticator)
        element.register = registrar.handle
        element.node.on_location = print
        print("registering at", *element.addresses, flush=True)
        await element.forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]))
