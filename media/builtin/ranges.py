"""Which ports each worker has, while workers come and go."""

from __future__ import annotations

from media.api import MediaUnavailable


class Ranges:
    """Divides ports, each of which stands for a leg, among workers; every port is somebody's while there is one."""

    def __init__(self, ports: range) -> None:
        self._parts: dict[str, range] = {}
        self._ports = ports

    def __getitem__(self, name: str) -> range:
        """Return the ports of a worker."""
        return self._parts[name]

    def divide(self, names: list[str]) -> None:
        """Give each of these an equal part."""
        ports, count = self._ports, len(names)
        self._parts = {
            name: ports[len(ports) * index // count : len(ports) * (index + 1) // count]
            for index, name in enumerate(names)
        }

    def add(self, name: str) -> str:
        """Give a newcomer half of what the richest has, and return who that is. Raises MediaUnavailable."""
        richest = max(self._parts, key=lambda each: len(self._parts[each]))
        ports = self._parts[richest]
        if len(ports) < 2:
            raise MediaUnavailable("The port range is too small for another worker.")
        middle = len(ports) // 2
        self._parts[richest], self._parts[name] = ports[:middle], ports[middle:]
        return richest

    def remove(self, name: str) -> str:
        """Give what somebody had to a neighbour, and return who that is; he must not be the last."""
        left = self._parts.pop(name)
        neighbour = next(
            each for each, ports in self._parts.items() if left.stop == ports.start or ports.stop == left.start
        )
        ports = self._parts[neighbour]
        self._parts[neighbour] = range(min(left.start, ports.start), max(left.stop, ports.stop), ports.step)
        return neighbour
