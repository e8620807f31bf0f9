"""What the configuration means to the media side: the backend that is started, and what it can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from acd.speaking import speech_directory
from acd.starting import CannotStart
from media.api import Capability, MediaError
from media.builtin.supervisor import MediaSupervisor
from media.codecs import ENCODABLE
from media.codecs.names import CN
from media.recording.keys import KeyringError
from media.rtp.latching import Latching
from media.rtp.troubles import Thresholds
from media.rtpengine.backend import RtpengineMedia
from media.rtpengine.settings import CODECS as CODECS_OF_RTPENGINES
from media.rtpengine.settings import Node, RtpengineSettings
from media.settings import PROMPT_DIRECTORY, MediaSettings

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from acd.config import Config, Rtpengine

Backend = MediaSupervisor | RtpengineMedia
SPOOL = "prompts"  # under storage.dir: prompts put together for rtpengine

log = structlog.get_logger()


async def start_media(config: Config, cleanup: AsyncExitStack) -> Backend:
    """Start the media backend, to be stopped by ``cleanup``. Raises ``CannotStart``."""
    try:
        media = make_backend(config)
        await media.start()
    except KeyringError as error:
        raise CannotStart(f"recording keys: {error}") from None
    except MediaError as error:
        raise CannotStart(f"media: {error}") from None
    cleanup.push_async_callback(media.stop)
    able = media.capabilities()
    log.info("media.started", backend=config.media.backend, able=sorted(able), unable=sorted(set(Capability) - able))
    if left_out := set(config.media.codecs) - set(served_codecs(config)):
        log.warning("codecs.left_out", codecs=sorted(left_out), reason="the media backend cannot convert them here")
    return media


def prompt_directories(config: Config) -> tuple[str, ...]:
    """Return where prompts are looked for: in the operator's own directory before the shipped one."""
    own = config.media.prompts
    return (PROMPT_DIRECTORY,) if own is None else (str(Path(own).absolute()), PROMPT_DIRECTORY)


def served_codecs(config: Config) -> tuple[str, ...]:
    """Return those of the codecs to be accepted that the backend can convert on this machine."""
    able = frozenset(CODECS_OF_RTPENGINES) if config.media.backend == "rtpengine" else ENCODABLE | {CN}
    return tuple(codec for codec in config.media.codecs if codec in able)


class Follower:
    """Has legs spread over what the configuration names, whenever it names others; what the API changed stays else."""

    def __init__(self, media: Backend, config: Config) -> None:
        self._media = media
        self._followed = config.media

    def __call__(self, config: Config) -> None:
        """Follow the configuration that is in force now."""
        before, self._followed = self._followed, config.media
        media, wanted = self._media, config.media
        try:
            if not isinstance(media, RtpengineMedia):
                if wanted.workers != before.workers:
                    media.follow(wanted.workers)
            elif wanted.rtpengine and wanted.rtpengine != before.rtpengine:  # none: another backend, at the next start
                media.follow(node_of(each) for each in wanted.rtpengine)
        except MediaError as error:
            log.error("media.not_followed", reason=str(error))  # noqa: TRY400 - no defect of ours


def make_backend(config: Config) -> Backend:
    """Return the backend that the configuration names, not yet started. Raises KeyringError."""
    if config.media.backend == "rtpengine":
        return RtpengineMedia(rtpengine_settings(config))
    return MediaSupervisor(media_settings(config))


def media_settings(config: Config) -> MediaSettings:
    """Return the settings of the media workers. Raises KeyringError."""
    media = config.media
    return MediaSettings(
        bind=media.listen.host,
        advertise=media.advertise.host if media.advertise else "",
        advertise_other=media.advertise_other.host if media.advertise_other else "",
        port_min=media.ports.first,
        port_max=media.ports.last,
        workers=media.workers,
        rtp_timeout_seconds=media.rtp_timeout_seconds,
        latching=Latching(**msgspec.structs.asdict(media.latching)),
        quality=Thresholds(**msgspec.structs.asdict(media.quality)),
        prompt_directories=prompt_directories(config),
        speech_directory=str(speech_directory(config).absolute()),
        codecs=served_codecs(config),
        offers=media.offers,
        srtp=media.srtp,
        dtls=media.dtls,
        ice=media.ice,
        recording=config.recording.settings(),
        inband_digits=media.inband_digits,
    )


def rtpengine_settings(config: Config) -> RtpengineSettings:
    """Return the settings of the backend of rtpengines; the configuration was checked to have what it needs."""
    media = config.media
    assert media.digits is not None
    return RtpengineSettings(
        nodes=tuple(node_of(each) for each in media.rtpengine),
        digits=(media.digits.host, media.digits.port),
        spool=str(config.storage.path / SPOOL),
        srtp=media.srtp,
        dtls=media.dtls,
        ice=media.ice,
        rtp_timeout_seconds=media.rtp_timeout_seconds,
        prompt_directories=prompt_directories(config),
        speech_directory=str(speech_directory(config).absolute()),
        codecs=served_codecs(config),
        offers=media.offers,
    )


def node_of(each: Rtpengine) -> Node:
    """Return an rtpengine as the media side knows it."""
    return Node(host=each.address.host, port=each.address.port, weight=each.weight)
