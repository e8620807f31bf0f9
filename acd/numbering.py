"""What the configuration says of telephone numbers: the dial plan, and which of ours is called from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ims_core.errors import SipError
from ims_core.messages.uri import parse_uri
from ims_core.trunks.numbers import CHINA, DialPlan, dialled_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from acd.config.model import Dialling, Trunk


def plan_of(dialling: Dialling, trunk: Trunk | None = None) -> DialPlan | None:
    """Return how numbers are dialled here, or where a trunk leads to that says so; None: nobody knows."""
    country = dialling.country
    own = trunk is not None and trunk.country not in {None, country}
    if own and trunk is not None:
        base = CHINA if trunk.country == CHINA.country else DialPlan(str(trunk.country))
        return replace(base, area=trunk.area or "")
    if country is None:
        return None
    usual = CHINA if country == CHINA.country else DialPlan(country)
    return DialPlan(
        country,
        (trunk.area if trunk is not None and trunk.area is not None else dialling.area) or "",
        dialling.international,
        dialling.national,
        dialling.direct or usual.direct,
        dialling.local or usual.local,
    )


def outside(target: str, dialling: Dialling) -> str | None:
    """Return the number that ``tel:...`` or ``+...`` means, in E.164 as far as it has that; None for a SIP URI."""
    if target.startswith("+"):
        target = f"tel:{target}"
    if not target.startswith("tel:"):
        return None
    try:
        number, context = dialled_in(parse_uri(target))
    except SipError:
        return None
    plan = plan_of(dialling)
    return number if plan is None else plan.e164(number, context)


class Numbering:
    """Finds ``numbers`` as they are written, and by what they are in E.164."""

    def __init__(self, plan: DialPlan | None, numbers: Iterable[str]) -> None:
        self._numbers = {number: number for number in numbers}
        if plan is not None:
            for number in list(self._numbers):
                self._numbers.setdefault(plan.e164(number), number)

    def find(self, *dialled: str) -> str | None:
        """Return the number as it is configured that the first of these is which is one; None when none is."""
        return next((self._numbers[number] for number in dialled if number in self._numbers), None)
