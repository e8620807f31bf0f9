"""A nameserver for tests, over real UDP and from a zone as it is written in a zone file."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.zone

from ims_core.flow import Address

SOA = "@ 300 IN SOA ns hostmaster 1 7200 900 604800 60\n@ 300 IN NS ns\nns 300 IN A 127.0.0.1\n"


class Nameserver:
    """Answers for the zone ``origin`` on 127.0.0.1 while it is entered; ``asked`` keeps the questions, in order.

    A name in ``silent`` gets no answer, one in ``broken`` SERVFAIL. ``address`` is where it listens.
    """

    def __init__(self, origin: str, zone: str) -> None:
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self._zone = dns.zone.from_text(SOA + zone, origin=origin, relativize=False)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: Address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, name=f"nameserver of {origin}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._socket.sendto(b"", self.address)  # an empty datagram ends it
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            answer = self._answer(dns.message.from_wire(data))
            if answer is not None:
                self._socket.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(f"{dns.rdatatype.to_text(question.rdtype)} {name}")
        if name in self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        found = self._zone.get_rrset(question.name, question.rdtype)
        if found is None:
            found = self._zone.get_rrset(question.name, dns.rdatatype.CNAME)
        if found is not None:
            response.answer.append(found)
            if found.rdtype == dns.rdatatype.CNAME:
                response.answer.extend(filter(None, [self._zone.get_rrset(found[0].target, question.rdtype)]))
            return response
        if self._zone.get_node(question.name) is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = self._zone.get_rrset(self._zone.origin or dns.name.root, dns.rdatatype.SOA)
        response.authority.extend(filter(None, [soa]))
        return response
