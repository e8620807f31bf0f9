"""SRTP: the reference against the vectors of the RFCs, libsrtp against the reference, and what is ours around it."""

from __future__ import annotations

import random
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from media.secure.srtp import MAX_SOURCES, SUITES, Key, Protector, Replayed, Unauthentic, Unprotector

from . import reference
from .reference import Reference

RR = b"\x80\xc9\x00\x01"
NAMES = sorted(SUITES)


def key(name: str = "AES_CM_128_HMAC_SHA1_80", seed: int = 1, mki: bytes = b"") -> Key:
    suite = SUITES[name]
    return Key(suite, random.Random(seed).randbytes(suite.length), mki)


def rtp(sequence: int, ssrc: int = 0xDECAFBAD, payload: bytes = b"voice") -> bytes:
    return struct.pack(">BBHII", 0x80, 0, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc) + payload


def test_every_suite_of_libsrtp_is_there() -> None:
    assert NAMES == [
        "AEAD_AES_128_GCM",
        "AEAD_AES_256_GCM",
        "AES_CM_128_HMAC_SHA1_32",
        "AES_CM_128_HMAC_SHA1_80",
    ]


@pytest.mark.rfc("3711-B.2")
def test_the_reference_makes_the_keystream_of_the_rfc() -> None:
    stream = reference.keystream(
        bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), 0xF0F1F2F3F4F5F6F7F8F9FAFBFCFD0000, 48
    )
    assert stream.hex().upper() == (
        "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
    )


@pytest.mark.rfc("3711-B.3")
def test_the_reference_derives_the_keys_of_the_rfc() -> None:
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
    salt = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    assert reference.derive(master, salt, reference.RTP_CIPHER, 16).hex() == "c61e7a93744f39ee10734afe3ff7a087"
    assert reference.derive(master, salt, reference.RTP_SALT, 14).hex() == "30cbbc08863d8c85d49db34a9ae1"
    assert reference.derive(master, salt, reference.RTP_AUTH, 20).hex() == "cebe321f6ff7716b6fd4ab49af256a156d38baa4"


@pytest.mark.rfc("6188-7.2")
def test_the_reference_derives_keys_of_256_bits_as_the_rfc_does() -> None:
    master = bytes.fromhex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6")
    salt = bytes.fromhex("3b04803de51ee7c96423ab5b78d2")
    derived = reference.derive(master, salt, reference.RTP_CIPHER, 32)
    assert derived.hex() == "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"
    assert reference.derive(master, salt, reference.RTP_SALT, 14).hex() == "fa31791685ca444a9e07c6c64e93"
    assert reference.derive(master, salt, reference.RTP_AUTH, 20).hex() == "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"


@pytest.mark.rfc("7714-16.1.1")
def test_the_reference_encrypts_with_gcm_as_the_rfc_does() -> None:
    header = bytes.fromhex("8040f17b8041f8d35501a0b2")
    iv = reference.gcm_iv(b"Quid pro quo", 0x5501A0B2, 0, 0xF17B)
    assert iv.hex() == "51753c6580c2726f20718414"
    sealed = AESGCM(bytes(range(16))).encrypt(iv, b"Gallia est omnis divisa in partes tres", header)
    assert sealed.hex() == (
        "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"
    )


@pytest.mark.rfc("3711-3.1", "3711-3.3", "7714-8")
@pytest.mark.parametrize("name", NAMES)
def test_packets_are_protected_as_the_reference_does_it(name: str) -> None:
    chance = random.Random(name)
    used = key(name)
    protector, expected = Protector(used), Reference(name, used.material)
    rollovers, sequence = 0, 65_000
    for _ in range(1200):
        packet = rtp(sequence, payload=chance.randbytes(chance.randrange(1, 200)))
        assert protector.protect(packet) == expected.protect(packet, rollovers)
        rollovers, sequence = divmod(rollovers << 16 | sequence + chance.randrange(1, 3), 1 << 16)
    assert rollovers == 1


@pytest.mark.rfc("3711-3.3", "7714-8")
@pytest.mark.parametrize("name", NAMES)
def test_what_the_reference_protects_is_read(name: str) -> None:
    used = key(name)
    unprotector, maker = Unprotector(used), Reference(name, used.material)
    for sequence in (65_530, 65_532, 65_531, 65_535, 65_536, 65_534, 65_537, 70_000):
        packet = rtp(sequence)
        assert unprotector.unprotect(maker.protect(packet, sequence >> 16)) == packet


@pytest.mark.rfc("3711-3.4", "7714-9")
@pytest.mark.parametrize("name", NAMES)
def test_rtcp_is_protected_and_read_as_the_reference_does_it(name: str) -> None:
    used = key(name)
    protector, unprotector, other = Protector(used), Unprotector(used), Reference(name, used.material)
    for index in range(1, 40):
        packet = RR + (5).to_bytes(4, "big") + bytes(4 * index)
        protected = protector.protect_rtcp(packet)
        assert protected == other.protect_rtcp(packet, index)
        assert unprotector.unprotect_rtcp(protected) == packet


@pytest.mark.rfc("3711-3.1", "7714-9")
@pytest.mark.parametrize("name", NAMES)
def test_the_master_key_identifier_stands_where_it_belongs(name: str) -> None:
    used = key(name, mki=b"\x01\x02")
    other = Reference(name, used.material)
    packet, report = rtp(1), RR + bytes(8)
    protected, protected_report = Protector(used).protect(packet), Protector(used).protect_rtcp(report)
    assert protected == other.protect(packet, 0, b"\x01\x02")
    assert protected_report == other.protect_rtcp(report, 1, b"\x01\x02")
    assert Unprotector(used).unprotect(protected) == packet
    assert Unprotector(used).unprotect_rtcp(protected_report) == report
    with pytest.raises(Unauthentic):
        Unprotector(used._replace(mki=b"\x01\x03")).unprotect(protected)
    with pytest.raises(Unauthentic):
        Unprotector(used).unprotect(b"\x80")


@pytest.mark.rfc("3711-3.3.2")
@pytest.mark.parametrize("name", NAMES)
def test_a_packet_is_taken_once(name: str) -> None:
    protector, unprotector = Protector(key(name)), Unprotector(key(name))
    packets = [protector.protect(rtp(sequence)) for sequence in range(2000)]
    for packet in packets:
        unprotector.unprotect(packet)
    for replayed in (packets[-1], packets[-100], packets[0]):
        with pytest.raises(Replayed):
            unprotector.unprotect(replayed)


@pytest.mark.rfc("3711-9.1")
def test_a_sequence_number_is_not_used_twice_for_sending() -> None:
    protector = Protector(key())
    protector.protect(rtp(7))
    with pytest.raises(Replayed):
        protector.protect(rtp(7, payload=b"else!"))
    assert protector.protect(rtp(8))


@pytest.mark.rfc("3711-3.3")
@pytest.mark.parametrize("name", NAMES)
def test_what_was_changed_or_made_with_another_key_is_refused(name: str) -> None:
    protected = Protector(key(name)).protect(rtp(1))
    unprotector = Unprotector(key(name))
    for at in range(len(protected)):
        changed = bytearray(protected)
        changed[at] ^= 1
        with pytest.raises(Unauthentic):
            unprotector.unprotect(bytes(changed))
    with pytest.raises(Unauthentic):
        Unprotector(key(name, seed=2)).unprotect(protected)
    for size in range(len(protected)):
        with pytest.raises(Unauthentic):
            unprotector.unprotect(protected[:size])
    assert unprotector.unprotect(protected) == rtp(1)


def test_no_octets_at_all_harm_what_reads_them() -> None:
    chance = random.Random(3711)
    unprotector = Unprotector(key())
    for size in [*range(60), 500, 1400, 1499, 1500, 1501, 2047]:
        data = chance.randbytes(size)
        with pytest.raises(Unauthentic):
            unprotector.unprotect(data)
        with pytest.raises(Unauthentic):
            unprotector.unprotect_rtcp(data)


@pytest.mark.rfc("3711-3.3.1")
@pytest.mark.parametrize("name", NAMES)
def test_a_new_key_goes_on_counting_rollovers(name: str) -> None:
    old, new = key(name), key(name, seed=2)
    protector, expected = Protector(old), Reference(name, new.material)
    unprotector = Unprotector(old)
    for index in range(0, 200_000, 7919):
        unprotector.unprotect(protector.protect(rtp(index)))
    late = protector.protect(rtp(200_000))
    protector.rekey(new)
    unprotector.rekey(new)
    assert unprotector.unprotect(late) == rtp(200_000)
    for index in (200_001, 200_002, 230_000, 262_100, 262_200, 290_000):
        protected = protector.protect(rtp(index))
        assert protected == expected.protect(rtp(index), index >> 16)
        assert unprotector.unprotect(protected) == rtp(index)
    with pytest.raises(Unauthentic):  # the old key opens nothing once the new one has
        unprotector.unprotect(Reference(name, old.material).protect(rtp(290_001), 4))


@pytest.mark.rfc("3711-3.2.1")
def test_a_new_key_goes_on_counting_rtcp() -> None:
    protector = Protector(key())
    report = RR + bytes(4)
    for _ in range(5):
        protector.protect_rtcp(report)
    new = key(seed=2)
    protector.rekey(new)
    assert protector.protect_rtcp(report) == Reference(new.suite.name, new.material).protect_rtcp(report, 6)


def test_a_peer_that_counts_from_zero_again_under_a_new_key_is_understood() -> None:
    old, new = key(), key(seed=2)
    protector, unprotector = Protector(old), Unprotector(old)
    for index in range(0, 140_000, 9000):
        unprotector.unprotect(protector.protect(rtp(index)))
    unprotector.rekey(new)
    again = Protector(new)
    for index in range(140_000, 340_000, 9000):
        assert unprotector.unprotect(again.protect(rtp(index))) == rtp(index)


def test_the_same_key_again_changes_nothing() -> None:
    protector, unprotector = Protector(key()), Unprotector(key())
    first = protector.protect(rtp(1))
    unprotector.unprotect(first)
    protector.rekey(key())
    unprotector.rekey(key())
    with pytest.raises(Replayed):
        unprotector.unprotect(first)
    with pytest.raises(Replayed):
        protector.protect(rtp(1))


@pytest.mark.rfc("3711-3.2.3")
def test_each_source_has_a_context_of_its_own_and_only_so_many_are_followed() -> None:
    protector, unprotector = Protector(key()), Unprotector(key())
    for ssrc in range(1, 10 * MAX_SOURCES):
        for sequence in (65_000, 65_536 + 10):
            assert unprotector.unprotect(protector.protect(rtp(sequence, ssrc))) == rtp(sequence, ssrc)
    assert len(unprotector._progress) == MAX_SOURCES
