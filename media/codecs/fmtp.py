"""What a=fmtp tells the codecs that have parameters."""

from __future__ import annotations

from typing import Final, NamedTuple

_HIGHEST_OPUS_BITRATE: Final = 510_000
_LOWEST_OPUS_BITRATE: Final = 6_000


def read(parameters: str) -> dict[str, str]:
    """Return "name=value; name=value" as a mapping, names in lower case; the first of two values counts."""
    found: dict[str, str] = {}
    for item in parameters.split(";"):
        name, _, value = item.partition("=")
        found.setdefault(name.strip().lower(), value.strip())
    return found


class OpusParameters(NamedTuple):
    """What the receiver of an Opus stream prefers (RFC 7587 6.1)."""

    max_playback_rate: int = 48000
    max_average_bitrate: int | None = None
    stereo: bool = False
    cbr: bool = False
    use_inband_fec: bool = False
    use_dtx: bool = False

    @classmethod
    def of(cls, parameters: str) -> OpusParameters:
        """Read them; what is no number, or out of range, counts as not said."""
        said = read(parameters)
        rate, bitrate = _number(said.get("maxplaybackrate")), _number(said.get("maxaveragebitrate"))
        return cls(
            max_playback_rate=rate if rate is not None and 8000 <= rate <= 48000 else 48000,
            max_average_bitrate=None
            if bitrate is None
            else min(_HIGHEST_OPUS_BITRATE, max(_LOWEST_OPUS_BITRATE, bitrate)),
            stereo=said.get("stereo") == "1",
            cbr=said.get("cbr") == "1",
            use_inband_fec=said.get("useinbandfec") == "1",
            use_dtx=said.get("usedtx") == "1",
        )


class AmrParameters(NamedTuple):
    """How an AMR or AMR-WB stream is framed and which modes it may use (RFC 4867 8.1, 8.2).

    `modes` is empty where all are allowed. A change of mode is allowed each `change_period` frames, and with
    `change_neighbor` only to the next mode up or down.
    """

    octet_align: bool = False
    modes: tuple[int, ...] = ()
    change_period: int = 1
    change_neighbor: bool = False

    @classmethod
    def of(cls, parameters: str) -> AmrParameters:
        """Read them; what is no number counts as not said."""
        said = read(parameters)
        modes = {_number(mode.strip()) for mode in said.get("mode-set", "").split(",")}
        return cls(
            octet_align=said.get("octet-align") == "1",
            modes=tuple(sorted(mode for mode in modes if mode is not None)),
            change_period=2 if said.get("mode-change-period") == "2" else 1,
            change_neighbor=said.get("mode-change-neighbor") == "1",
        )

    def admits(self, sent: AmrParameters, all_modes: int) -> bool:
        """Tell whether a stream that keeps to `sent` keeps to this as well; there are `all_modes` modes."""
        return (
            self.octet_align == sent.octet_align
            and set(sent.modes or range(all_modes)) <= set(self.modes or range(all_modes))
            and self.change_period <= sent.change_period
            and self.change_neighbor <= sent.change_neighbor
        )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
