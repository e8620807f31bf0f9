"""The hops and subscribers of an IMS core in a configuration: what is refused, and how it is said."""

from pathlib import Path

import pytest

from acd.config import Config, ConfigError, load, loads

IMS = Path(__file__).parents[2] / "configs" / "ims.toml"
LEAST = """
[server]
domain = "ims.example"
"""
HOPS = """
[sip]
listen = ["udp:127.0.0.1:5064"]
[ims]
enabled = true
[ims.pcscf]
listen = ["udp:127.0.0.1:5060"]
[ims.scscf]
listen = ["udp:127.0.0.1:5062"]
"""
USIM = 'k = "465b5ce8b199b49faa5f0a2ee238a6bc"\nop = "cdc202d5123e20f62b6d676ac72cb318"\n'
SUBSCRIBER = '[[subscribers]]\nprivate = "1@ims.example"\npublic = ["sip:+861@ims.example", "tel:+861"]\n'


def read(text: str) -> Config:
    return loads(LEAST + text)


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [mistake.removeprefix("configuration: ") for mistake in caught.value.mistakes]


def test_the_shipped_core_is_three_hops_with_two_handsets() -> None:
    config = load(IMS)
    assert config.ims.enabled
    assert [str(config.sip.listen[0]), str(config.ims.pcscf.listen[0]), str(config.ims.scscf.listen[0])] == [
        "udp:127.0.0.1:5064",
        "udp:127.0.0.1:5060",
        "udp:127.0.0.1:5062",
    ]
    domain = "ims.mnc001.mcc001.3gppnetwork.org"
    assert config.server.domain == domain
    for number, subscriber in enumerate(config.subscribers, 1):
        assert subscriber.private == f"00101000000000{number}@{domain}"
        assert subscriber.public == (f"sip:+861380000000{number}@{domain}", f"tel:+861380000000{number}")
    assert "10000" in config.numbers


def test_keys_are_never_shown() -> None:
    config = read(SUBSCRIBER + USIM)
    assert "465b" not in repr(config)
    (mistake,) = mistakes(SUBSCRIBER + USIM.replace("465b", "xxxx"))
    assert mistake == "subscribers[0].k: expected 32 hexadecimal digits"


def test_roles_are_one_element_unless_some_are_hops() -> None:
    together = read("[ims]\nenabled = true\n")
    assert not together.ims.has_hops
    assert together.ims.runs("pcscf")
    hops = read(HOPS.replace("enabled = true", 'enabled = true\nrun = ["scscf"]'))
    assert [hops.ims.runs(name) for name in ("pcscf", "scscf", "as")] == [False, True, False]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'listen = ["udp:127.0.0.1:5060"]',
            "",
            'ims.pcscf.listen: expected at least one address, because ims.run has "pcscf"',
        ),
        (
            'enabled = true\n[ims.pcscf]\nlisten = ["udp:127.0.0.1:5060"]',
            'enabled = true\nrun = ["scscf", "as"]\n[ims.pcscf]',
            "ims.pcscf.uri: expected the SIP URI by which the other hops reach it",
        ),
        (
            "127.0.0.1:5060",
            "127.0.0.1:5064",
            'ims.pcscf.listen[0]: expected an address that is not in sip.listen, found "udp:127.0.0.1:5064"',
        ),
        (
            "127.0.0.1:5060",
            "127.0.0.1:5062",
            'ims.scscf.listen[0]: expected an address that is not in ims.pcscf.listen, found "udp:127.0.0.1:5062"',
        ),
        (
            "udp:127.0.0.1:5060",
            "udp:0.0.0.0:5060",
            "ims.pcscf.uri: expected the SIP URI by which peers reach it; udp:0.0.0.0:5060 names no host",
        ),
        (
            "udp:127.0.0.1:5060",
            "tls:127.0.0.1:5061",
            "sip.tls: expected a table with a certificate, because ims.pcscf.listen has tls:127.0.0.1:5061",
        ),
        (
            "[ims]",
            'authentication = "off"\n[ims]',
            'ims.enabled: expected sip.authentication = "digest", by which subscribers prove who they are',
        ),
        (
            'enabled = true\n[ims.pcscf]\nlisten = ["udp:127.0.0.1:5060"]',
            'enabled = true\nrun = ["scscf", "as"]\n[ims.pcscf]\nuri = "sip:pcscf.ims.example"',
            (
                "ims.trusted: expected the addresses that pcscf.ims.example sends from, to be believed: ims.pcscf.uri "
                "names it without one"
            ),
        ),
        (
            "enabled = true",
            'enabled = true\ntrusted = ["192.0.2.0/24", "127.0.0.0/8"]',
            (
                "ims.trusted[1]: expected a network without 127.0.0.1, at which handsets on this host are served: each "
                'would be believed, found "127.0.0.0/8"'
            ),
        ),
        ("enabled = true", "enabled = true\nrun = []", 'ims.run: expected at least one of "pcscf", "scscf" and "as"'),
    ],
)
def test_hops_that_cannot_find_each_other_are_reported(old: str, new: str, told: str) -> None:
    assert old in HOPS
    assert told in mistakes(HOPS.replace(old, new, 1))


@pytest.mark.parametrize(
    "hop",
    [
        'trusted = ["192.0.2.7"]\n[ims.pcscf]\nuri = "sip:pcscf.ims.example"',
        '[ims.pcscf]\nuri = "sip:192.0.2.7"',
        '[ims.pcscf]\nuri = "sip:pcscf.ims.example"\nlisten = ["udp:192.0.2.7:5060"]',
    ],
)
def test_a_hop_elsewhere_is_known_by_its_addresses(hop: str) -> None:
    here = 'enabled = true\n[ims.pcscf]\nlisten = ["udp:127.0.0.1:5060"]'
    config = read(HOPS.replace(here, f'enabled = true\nrun = ["scscf", "as"]\n{hop}', 1))
    assert not config.ims.runs("pcscf")


def test_handsets_elsewhere_may_be_beside_hosts_that_are_trusted() -> None:
    text = HOPS.replace("enabled = true", 'enabled = true\ntrusted = ["127.0.0.2", "192.0.2.0/24"]', 1)
    assert len(read(text.replace("127.0.0.1:5060", "192.0.2.7:5060")).ims.trusted) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SUBSCRIBER, "subscribers[0]: expected either k with op or opc, of IMS AKA, or password, of SIP digest"),
        (
            SUBSCRIBER + USIM + 'password = "x"\n',
            "subscribers[0]: expected either k with op or opc, of IMS AKA, or password, of SIP digest",
        ),
        (SUBSCRIBER + USIM.split("\n", maxsplit=1)[0] + "\n", "subscribers[0]: expected k and one of op and opc"),
        (
            SUBSCRIBER + USIM + SUBSCRIBER + USIM,
            'subscribers[1].private: expected a private identity that is not named before, found "1@ims.example"',
        ),
        (
            SUBSCRIBER.replace("1@ims", "1 @ims") + USIM,
            (
                "subscribers[0].private: expected a private identity, like "
                '"001010000000001@ims.mnc001.mcc001.3gppnetwork.org", found "1 @ims.example"'
            ),
        ),
        (
            SUBSCRIBER + USIM + 'barred = ["tel:+862"]\n',
            'subscribers[0].barred: expected identities that public or more names, found "tel:+862"',
        ),
        (
            SUBSCRIBER + USIM + 'profile = "gold"\n',
            'subscribers[0].profile: expected a profile (none is defined), found "gold"',
        ),
    ],
)
def test_subscribers_who_cannot_be_told_apart_or_asked_are_reported(text: str, told: str) -> None:
    assert told in mistakes(text)
