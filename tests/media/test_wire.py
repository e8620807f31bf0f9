"""What moves packets between the kernel and the buffer that sessions share, compiled or not."""

import inspect
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import media
from media.rtp.packet import HEADER
from media.worker import wire

TYPES = (Path(media.__file__).parent / "worker/wire.pxd").read_text()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that send to each other."""
    ours, theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with ours, theirs:
        for sock in ours, theirs:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        ours.connect(theirs.getsockname())
        theirs.connect(ours.getsockname())
        yield ours, theirs


def test_a_datagram_is_read_and_sent_on(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.send(b"hello")
    assert wire.receive(ours.fileno()) == 5
    assert wire.packet[:5] == b"hello"
    assert wire.send(ours.fileno(), 4)
    assert theirs.recv(100) == b"hell"


def test_an_empty_datagram_is_one(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.send(b"")
    assert wire.receive(ours.fileno()) == 0
    assert wire.send(ours.fileno(), 0)
    assert theirs.recv(100) == b""


def test_no_more_is_read_than_there_is_room_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.send(bytes(range(256)) * 20)
    assert wire.receive(ours.fileno()) == wire.LARGEST_PACKET == len(wire.packet)
    assert bytes(wire.packet) == bytes(range(256)) * 8
    assert wire.receive(ours.fileno()) == -1


def test_what_the_kernel_refuses_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    assert wire.receive(ours.fileno()) == -1  # nothing there
    theirs.close()
    assert wire.send(ours.fileno(), 5)
    assert not wire.send(ours.fileno(), 5)  # nobody there
    descriptor = ours.fileno()
    ours.close()
    assert wire.receive(descriptor) == -1
    assert not wire.send(descriptor, 5)


@pytest.mark.rfc("3550-5.1")
@pytest.mark.parametrize(
    "fields",
    [
        (0, 0, 0, 0, 0),
        (0x80, 0xFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0x90, 0x80 | 101, 0x0102, 0x80000000, 0x03040506),
        (0xFF, 0x7F, 0x8000, 0x7FFFFFFF, 0xFF000000),
    ],
)
def test_a_header_is_read_and_written(fields: tuple[int, int, int, int, int]) -> None:
    HEADER.pack_into(wire.packet, 0, *fields)
    assert wire.read_header() == fields
    wire.packet[:12] = bytes(12)
    wire.write_header(*fields)
    assert HEADER.unpack_from(wire.packet) == fields


def test_both_ways_of_it_have_the_same_functions() -> None:
    compiled = dict(re.findall(r"^cpdef .*?(\w+)\((.*)\) (?:noexcept|except -1)$", TYPES, re.MULTILINE))
    source = Path(wire.__file__).with_name("wire.py").read_text()
    names: dict[str, object] = {}
    exec(source, names)  # also where the other one was imported
    functions = {name: value for name, value in names.items() if inspect.isfunction(value)}
    assert {name: re.findall(r"(\w+)(?:,|$)", told) for name, told in compiled.items()} == {
        name: list(inspect.signature(function).parameters) for name, function in functions.items()
    }
