"""What a message holds."""

from __future__ import annotations

import msgspec

from ims_core.messages.headers import CSeq, NameAddr, Via


class Contents(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """Header lines in their order with the name of each in lower case, a body, and what was parsed of the lines."""

    keys: list[str] = []
    lines: list[str] = []
    body: bytes = b""
    _via: Via | None = None
    _from: NameAddr | None = None
    _to: NameAddr | None = None
    _cseq: CSeq | None = None
    _call_id: str | None = None
    _from_tag: str | None = None
    _to_tag: str | None = None
