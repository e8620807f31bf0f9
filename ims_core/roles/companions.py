"""What goes along with what several roles forward: each has its say on the way back, the last one first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ims_core.proxy.forward import Companion, Forward, ToService
from ims_core.roles.charging import ChargingVector, answer_vector
from ims_core.roles.served import assert_both_forms

if TYPE_CHECKING:
    from ims_core.messages.message import Response
    from ims_core.roles.routing import Decision
    from ims_core.subscribers.subscriber import ImplicitSet


def along(decision: Decision, companion: Companion) -> Decision:
    """Have ``companion`` go along with what was decided after its own role had its turn."""
    return _with(decision, companion) if isinstance(decision, Forward) else decision


class Nested(NamedTuple):
    """A companion within another; whatever the inner one goes on with, the outer one goes along."""

    inner: Companion
    outer: Companion

    def returned(self, response: Response) -> None:
        """Edit a response: from the inside out."""
        self.inner.returned(response)
        self.outer.returned(response)

    def instead(self, status: int) -> Forward | ToService | None:
        """Return the other way that the inner one knows, or else the outer one."""
        onward = self.inner.instead(status)
        if onward is None:
            return self.outer.instead(status)
        return onward if isinstance(onward, ToService) else _with(onward, self.outer)


class Answering(NamedTuple):
    """Answers for ``network`` what a request ``asked`` in P-Charging-Vector, and asserts both forms of who is called.

    ``identities`` is the set of the callee where the S-CSCF serves him (TS 24.229 sections 5.4.3.2 and 5.4.3.3).
    """

    network: str
    asked: ChargingVector | None
    identities: ImplicitSet = ()

    def returned(self, response: Response) -> None:
        """Edit a response."""
        answer_vector(response, self.asked, self.network)
        if self.identities and 100 < response.status < 300:
            assert_both_forms(response, self.identities)

    def instead(self, status: int) -> None:
        """Know no other way."""


def _with(forward: Forward, outer: Companion) -> Forward:
    inner = forward.companion
    return forward._replace(companion=outer if inner is None else Nested(inner, outer))
