"""What peers say of themselves, as it can stand in an XML document."""

from __future__ import annotations


def xml_text(value: str) -> str:
    """Leave out what XML 1.0 cannot hold (its production 2), however escaped."""
    return "".join(character for character in value if _is_xml(character))


def _is_xml(character: str) -> bool:
    return character >= " " and not "\ud800" <= character <= "\udfff" and character not in "\ufffe\uffff"
