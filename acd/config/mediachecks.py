"""Checks that whoever handles RTP can do what the rest of the configuration asks for."""

from collections.abc import Iterator

from acd.config.mistakes import Mistakes
from acd.config.model import Sections
from acd.config.reader import Path
from media.api import Capability
from media.builtin.capabilities import CAPABILITIES as OF_WORKERS
from media.rtpengine.settings import CAPABILITIES as OF_RTPENGINES
from media.rtpengine.settings import CODECS as CODECS_OF_RTPENGINES

PORTS_OF_A_CALL = 4  # RTP and RTCP of the caller's and of the agent's leg
ABLE = {"builtin": OF_WORKERS, "rtpengine": OF_RTPENGINES}


def check_media(config: Sections, mistakes: Mistakes) -> None:
    """Report what the media side contradicts, and what it cannot do."""
    media = config.media
    if len(set(media.codecs)) < len(media.codecs) or not set(media.codecs) - {"CN"}:
        mistakes.report(("media", "codecs"), "each codec once, and one besides CN", str(list(media.codecs)))
    other, told = media.advertise_other, media.advertise
    if other is not None and (media.listen.host != "::" or told is None or told.version == other.version):
        mistakes.report(
            ("media", "advertise_other"),
            'an address of another version of IP than media.advertise, with media.listen = "::"',
            str(other),
        )
    if len(set(media.offers)) < len(media.offers) or not set(media.offers) - {"CN"}:
        mistakes.report(("media", "offers"), "each codec once, and one besides CN", str(list(media.offers)))
    if media.backend == "rtpengine":
        _rtpengines(config, mistakes)
    else:
        _ports(config, mistakes)
    for path, capability, instead, found in needs(config):
        if capability not in ABLE.get(media.backend, ()) and not mistakes.any_in(path):
            mistakes.report(
                path, f'{instead}, because media.backend = "{media.backend}" is without {capability}', found
            )


def needs(config: Sections) -> Iterator[tuple[Path, Capability, str, object]]:
    """Tell which keys need what of the media side, what else they may say, and what they do."""
    for name, queue in config.queues.items():
        if queue.record:
            yield ("queues", name, "record"), Capability.RECORDING, "false", queue.record
        if queue.hide_digits:
            yield ("queues", name, "hide_digits"), Capability.HIDDEN_DIGITS, "false", queue.hide_digits
    if config.recording.siprec is not None:
        yield ("recording", "siprec"), Capability.FORKING, "nothing", config.recording.siprec
    if config.media.srtp == "required":
        yield ("media", "srtp"), Capability.SDES, '"optional" or "off"', config.media.srtp
    if config.media.inband_digits == "always":
        yield ("media", "inband_digits"), Capability.INBAND_DIGITS, '"auto" or "off"', config.media.inband_digits


def _ports(config: Sections, mistakes: Mistakes) -> None:
    media = config.media
    needed = media.workers * PORTS_OF_A_CALL
    if media.ports.legs * 2 < needed:
        mistakes.report(
            ("media", "ports"),
            f"room for at least {needed} ports, {PORTS_OF_A_CALL} for each of {media.workers} workers",
            str(media.ports),
        )
    for index, listener in enumerate(config.sip.listen):
        if listener.transport == "udp" and media.ports.first <= listener.port <= media.ports.last:
            mistakes.report(("sip", "listen", index), f"a port outside media.ports {media.ports}", str(listener))


def _rtpengines(config: Sections, mistakes: Mistakes) -> None:
    media = config.media
    if not media.rtpengine and not mistakes.any_in(("media", "rtpengine")):
        mistakes.report(("media", "rtpengine"), 'at least one [[media.rtpengine]], because media.backend = "rtpengine"')
    if media.digits is None and not mistakes.any_in(("media", "digits")):
        mistakes.report(
            ("media", "digits"),
            'the address:port of the rtpengines\' dtmf-log-dest, because media.backend = "rtpengine"',
        )
    seen = set()
    for index, each in enumerate(media.rtpengine):
        if each.address in seen:
            mistakes.report(("media", "rtpengine", index), "an address that is not listed before", str(each.address))
        seen.add(each.address)
    if not set(media.codecs) & set(CODECS_OF_RTPENGINES):
        served = ", ".join(CODECS_OF_RTPENGINES)
        mistakes.report(("media", "codecs"), f"some that rtpengine transcodes: {served}", str(list(media.codecs)))
