"""Nothing of a call is left once both sides are done with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.network import Network
from tests.kit.phone import Phone


@pytest.fixture(autouse=True)
def all_runs_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have every phone of the test hang up, and all timers run out: no dialog, transaction or timer may be left.

    Phones that have vanished from their network are spared.
    """
    made: list[tuple[Network, Phone]] = []
    make = Phone.__init__

    def remembered(phone: Phone, network: Network, *how: Any, **more: Any) -> None:
        make(phone, network, *how, **more)
        made.append((network, phone))

    monkeypatch.setattr(Phone, "__init__", remembered)
    yield
    there = [(network, phone) for network, phone in made if phone in network._elements]
    for _, phone in there:
        for session in list(phone.ua._sessions.values()):
            session.hang_up()
    for network, _ in there:
        network.run()
    for _, phone in there:
        phone.assert_idle()
        assert not phone.ua._calls
