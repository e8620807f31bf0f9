"""Who a TLS peer is by its certificate (RFC 5922 section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any


def identities(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Return the SIP domains, and the IP addresses, that a verified certificate stands for, in lower case.

    ``certificate`` is as the ``ssl`` module describes one. Names as ``sip:`` URIs count first; where there are none,
    DNS names do, and where there is no alternative name at all the common name (7.1).
    """
    alternatives: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
    # 7.1: a sip: URI with a user part stands for that user, not for the domain
    uris = {value[4:].lower() for kind, value in alternatives if kind == "URI" and value[:4].lower() == "sip:"}
    domains = {uri for uri in uris if "@" not in uri}
    domains = domains or {value.lower() for kind, value in alternatives if kind == "DNS"}
    if not alternatives:
        domains = {
            value.lower() for names in certificate.get("subject", ()) for kind, value in names if kind == "commonName"
        }
    return frozenset(domains | {_plain(value) for kind, value in alternatives if kind == "IP Address"})


def stands_for(certificate: Mapping[str, Any], host: str) -> bool:
    """Whether the certificate is that of ``host``, a domain or an IP address.

    7.2: names are compared whole and without regard to case; wildcards and parent domains do not count.
    """
    return _plain(host.rstrip(".")) in identities(certificate)


def _plain(host: str) -> str:
    try:
        return str(ip_address(host.strip()))
    except ValueError:
        return host.lower()
