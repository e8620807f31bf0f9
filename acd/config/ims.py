"""The IMS core in a configuration: where its roles run, and its subscribers."""

import re
from typing import Annotated, Literal, Self

from msgspec import Meta, Struct, field

from acd.config.addresses import Listener, Network
from acd.config.values import Domain, Identifier, RouteUri, Secret, SomeSeconds

HopName = Literal["pcscf", "scscf", "as"]
SubscriberAlgorithm = Literal["AKAv1-MD5", "AKAv2-MD5", "AKAv2-SHA-256", "MD5", "SHA-256", "SHA-512-256"]


class Key(Secret):
    """A key of 128 bits in hexadecimal; it is never shown."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 32 hexadecimal digits."""
        if re.fullmatch("[0-9A-Fa-f]{32}", text) is None:
            raise ValueError("32 hexadecimal digits")
        return cls(text)


Amf = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{4}\Z", description="4 hexadecimal digits")]
PrivateIdentity = Annotated[
    str,
    Meta(
        pattern=r"^[^@\s\"<>]{1,100}@[A-Za-z0-9.-]{1,150}\Z",
        description='a private identity, like "001010000000001@ims.mnc001.mcc001.3gppnetwork.org"',
    ),
]
PublicIdentityUri = Annotated[
    str,
    Meta(
        pattern=r"^(sips?:[^\s<>]+@[^\s<>]+|tel:[^\s<>]+)\Z",
        max_length=200,
        description='a public identity, like "sip:+8613800000001@ims.example" or "tel:+8613800000001"',
    ),
]


class Proxy(Struct, frozen=True, kw_only=True):
    """A role that is a hop of its own: where it listens if it runs in this process, and where the others find it."""

    listen: tuple[Listener, ...] = ()
    uri: RouteUri | None = None


class FirstProxy(Proxy, frozen=True, kw_only=True):
    """The P-CSCF: whether it follows at home who is registered, by a subscription for each (TS 24.229 5.2.3)."""

    watches: bool = True


class SecurityAgreement(Struct, frozen=True, kw_only=True):
    """What handsets may or must agree on before they register (RFC 3329)."""

    mechanisms: tuple[Literal["tls"], ...] = ("tls",)
    required: bool = False


class Ims(Struct, frozen=True, kw_only=True):
    """The IMS core: off, in one process (no `listen` of a hop is given), or hop by hop."""

    enabled: bool = False
    run: tuple[HopName, ...] = ("pcscf", "scscf", "as")
    pcscf: FirstProxy = field(default_factory=FirstProxy)
    scscf: Proxy = field(default_factory=Proxy)
    visited_network: Domain | None = None
    trusted: tuple[Network, ...] = ()
    security: SecurityAgreement = field(default_factory=SecurityAgreement)
    answer_seconds: SomeSeconds = 5.0
    subscriber_database: bool = False

    @property
    def has_hops(self) -> bool:
        """Whether the roles are hops of their own."""
        return any((self.pcscf.listen, self.scscf.listen, self.pcscf.uri, self.scscf.uri))

    def runs(self, hop: HopName) -> bool:
        """Whether that hop runs in this process."""
        return not self.has_hops or hop in self.run


class SubscriberTable(Struct, frozen=True, kw_only=True):
    """One `[[subscribers]]` table: a private identity, its public ones in implicit registration sets, its secret."""

    private: PrivateIdentity
    public: tuple[PublicIdentityUri, ...] = ()
    more: tuple[tuple[PublicIdentityUri, ...], ...] = ()
    barred: tuple[PublicIdentityUri, ...] = ()
    profile: Identifier | None = None
    k: Key | None = None
    op: Key | None = None
    opc: Key | None = None
    amf: Amf = "0000"  # TS 33.102 Annex H: the first bit is 0 unless a vector is for EPS
    password: Secret | None = None
    algorithms: tuple[SubscriberAlgorithm, ...] = ()

    @property
    def sets(self) -> tuple[tuple[str, ...], ...]:
        """Its implicit registration sets."""
        return tuple(each for each in (self.public, *self.more) if each)
