"""What goes along with a request that passes several roles: each has its say on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ims_core.proxy.forward import Companion, Forward, ToService
from ims_core.roles.charging import ChargingVector, answer_vector
from ims_core.roles.served import assert_both_forms, take_outside

if TYPE_CHECKING:
    from ims_core.messages.message import Response
    from ims_core.roles.routing import Decision
    from ims_core.subscribers.subscriber import ImplicitSet


def along(decision: Decision, companion: Companion) -> Decision:
    """Have ``companion`` go along with what was decided, nearer to the sender than what goes along already."""
    if not isinstance(decision, Forward):
        return decision
    inner = decision.companion
    return decision._replace(companion=companion if inner is None else Chain((inner, companion)))


class Chain:
    """Several companions of one request, who edit its responses one after the other, the callee's first."""

    def __init__(self, companions: tuple[Companion, ...]) -> None:
        self._companions = companions

    def returned(self, response: Response) -> None:
        """Have each edit a response."""
        for companion in self._companions:
            companion.returned(response)

    def instead(self, status: int) -> Forward | ToService | None:
        """Ask each for another way; those who are nearer to the sender go along with that, too."""
        for position, companion in enumerate(self._companions):
            onward = companion.instead(status)
            if onward is None:
                continue
            rest = self._companions[position + 1 :]
            if not rest or isinstance(onward, ToService):
                return onward
            first = () if onward.companion is None else (onward.companion,)
            return onward._replace(companion=Chain((*first, *rest)))
        return None


class BackOutside:
    """Goes along with a request of another network: what of its responses that is told (RFC 3325 section 7)."""

    def returned(self, response: Response) -> None:
        """Edit a response."""
        take_outside(response)

    def instead(self, status: int) -> None:
        """Know no other way."""


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
