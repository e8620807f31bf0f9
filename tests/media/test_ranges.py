"""The ports of workers that come and go: always whole, never shared."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.api import MediaUnavailable
from media.builtin.ranges import Ranges
from media.worker.ports import PortPool


@given(st.integers(1, 40), st.integers(1, 4), st.lists(st.integers(-5, 5), max_size=30))
def test_every_port_is_one_workers(count: int, workers: int, changes: list[int]) -> None:
    ports = range(20_000, 20_000 + 2 * count, 2)
    names = [str(number) for number in range(min(workers, count))]
    ranges = Ranges(ports)
    ranges.divide(names)
    for number, change in enumerate(changes, len(names)):
        if change > 0:
            sizes = {name: len(ranges[name]) for name in names}
            try:
                giver = ranges.add(str(number))
            except MediaUnavailable:
                assert max(sizes.values()) == 1
                continue
            assert sizes[giver] == max(sizes.values())
            names.append(str(number))
        elif len(names) > 1:
            heir = ranges.remove(names.pop(change % len(names)))
            assert heir in names
        owned = [port for name in names for port in ranges[name]]
        assert sorted(owned) == list(ports)
        assert all(len(ranges[name]) for name in names)


class Bound:
    """Sockets that are none: `closed` are the ports given back."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.closed: list[int] = []

    def __call__(self, port: int) -> Any:
        if port in self.taken:
            raise OSError("taken")
        self.taken.add(port)
        return self.Socket(self, port)

    class Socket:
        def __init__(self, bound: "Bound", port: int) -> None:
            self.bound, self.port = bound, port

        def close(self) -> None:
            self.bound.taken.discard(self.port)
            self.bound.closed.append(self.port)


def test_a_pool_that_is_given_other_ports_lets_go_of_those_that_no_leg_has() -> None:
    bound = Bound()
    pool = PortPool(range(4000, 4020, 2), bound)
    assert pool.provide(4) == ([4000, 4002, 4004, 4006], "")
    used, kept = pool.take(4000), pool.take(4006)
    pool.assign(range(4004, 4012, 2))
    assert bound.closed == [4002, 4003]
    assert (pool.in_use, pool.total) == (2, 4)
    assert pool.provide(4) == ([4008, 4010], "No RTP port is free.")
    for pair, port in ((used, 4000), (kept, 4006)):
        pair.close()
        pool.give_back(port)
    assert pool.in_use == 0
    assert pool.provide(4) == ([4006], "No RTP port is free.")
    pool.assign(range(4000, 4008, 2))
    assert sorted(pool.provide(9)[0]) == [4000, 4002]


def test_a_port_that_its_former_owner_still_has_is_passed_over(ports: Any) -> None:
    first = ports.block(4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", first))

        def bind(port: int) -> socket.socket:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                sock.close()
                raise
            return sock

        pool = PortPool(range(first, first + 4, 2), bind)
        provided, reason = pool.provide(2)
        assert provided == [first + 2]
        assert reason.startswith("No RTP port can be bound")
        pool.close()


def test_the_last_port_is_not_divided() -> None:
    ranges = Ranges(range(4000, 4002, 2))
    ranges.divide(["0"])
    with pytest.raises(MediaUnavailable, match="too small"):
        ranges.add("1")
