"""Public user identities (TS 23.003 section 13.4), plain and wildcarded (13.5)."""

from __future__ import annotations

import re
from urllib.parse import quote

from ims_core.errors import SipError
from ims_core.messages.uri import Uri, parse_uri
from ims_core.patterns import Pattern, PatternError
from ims_core.structs import Value


class PublicIdentity(Value):
    """One public user identity; ``public_identity`` makes it from text.

    ``uri`` is canonical: ``sip:+86…@ims…`` with the host in lower case, or ``tel:+86…`` without visual separators. Who
    is ``barred`` from it may register with it, but neither call nor be called (TS 23.228 section 4.3.3.2). ``profile``
    names its service profile. Of a wildcarded identity ``uri`` is as it was written, with the expression between two
    ``!``, and ``wildcard`` the text of the ``Pattern`` that a whole canonical identity must match.
    """

    uri: str
    barred: bool = False
    profile: str = ""
    wildcard: str = ""


def public_identity(text: str, *, barred: bool = False, profile: str = "") -> PublicIdentity:
    """Return the identity that ``text`` names, e.g. ``sip:alice@ims.example`` or ``sip:pbx-!.*!@ims.example``.

    Raises ``ValueError`` that says what is wrong with it.
    """
    head, mark, rest = text.partition(_DELIMITER)
    expression, second, tail = rest.partition(_DELIMITER)
    wild = bool(mark and second and expression)
    try:
        uri = parse_uri(f"{head}{_PLACEHOLDER}{tail}" if wild else text)
    except SipError as error:
        raise ValueError(f"expected a sip or tel URI, not {text!r}: {error}") from None
    plain = canonical(uri)
    if not wild:
        return PublicIdentity(plain, barred, profile)
    before, placed, after = plain.partition(_PLACEHOLDER)
    if not placed or _DELIMITER in after:
        raise ValueError(f"expected one regular expression, in the user or number of {text!r}")
    wildcard = f"{re.escape(before)}(?:{expression}){re.escape(after)}"
    try:
        Pattern(expression), Pattern(wildcard)
    except PatternError as error:
        raise ValueError(f"expected {error} between the two ! of {text!r}") from None
    return PublicIdentity(f"{before}{_DELIMITER}{expression}{_DELIMITER}{after}", barred, profile, wildcard)


def canonical(uri: Uri) -> str:
    """Return the form under which identities are compared (TS 23.003 section 13.4, RFC 3966 section 5).

    Parameters, port and headers name no other user, nor does ``sips``; a local number is nothing without its context.
    """
    if uri.scheme == "tel":
        number, context = uri.user.lower(), uri.params.get("phone-context", "")
        if number.startswith("+") or not context:
            return f"tel:{number}"
        return f"tel:{number};phone-context={_without_separators(context) if context[0] == '+' else context.lower()}"
    user = uri.user
    if uri.params.get("user", "").lower() == "phone":  # a telephone-subscriber (RFC 3261 section 19.1.6)
        number, _, params = user.partition(";")
        number = _without_separators(number).lower()
        user = f"{number};{params.lower()}" if params and not number.startswith("+") else number
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    return f"sip:{quote(user, _UNESCAPED_IN_USER)}@{host}" if user else f"sip:{host}"


def number_of(uri: str) -> str:
    """Return the global number, ``+86…``, that a canonical identity is made of, empty for any other identity."""
    match = _NUMBER.fullmatch(uri)
    return match[1] if match else ""


def _without_separators(number: str) -> str:
    return number.translate(_VISUAL_SEPARATORS)


_DELIMITER = "!"
_PLACEHOLDER = "!!"  # what stands for the expression while the rest is parsed: legal in a user part, and in no number
_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")
_UNESCAPED_IN_USER = "-_.!~*'()&=+$,;?/"
_NUMBER = re.compile(r"(?:sip|tel):(\+[0-9]+)(?:@.*)?")
