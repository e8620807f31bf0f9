"""The kinds of msgspec structs that the core is made of.

A struct names its kind as its base class instead of options of its own, since modules that are compiled
(``pyproject.toml`` lists them) lose the options of a class, and inherit those of its base.
"""

from typing import dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Value(msgspec.Struct, frozen=True, gc=False):
    """What is equal when its fields are, and never changes. It is part of no cycle of references."""


class Record(msgspec.Struct, eq=False):
    """What changes and is equal to itself alone."""


class Leaf(msgspec.Struct, eq=False, gc=False):
    """A ``Record`` that is part of no cycle of references: the garbage collector need not look at it."""
