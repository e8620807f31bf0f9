"""What the configuration means to the media side: the backend that is started, and what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from acd.starting import CannotStart
from media.api import Capability, MediaUnavailable
from media.builtin.supervisor import MediaSupervisor
from media.recording.keys import KeyringError
from media.settings import MediaSettings

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from acd.config import Config

log = structlog.get_logger()


async def start_media(config: Config, cleanup: AsyncExitStack) -> MediaSupervisor:
    """Start the media backend, to be stopped by ``cleanup``. Raises ``CannotStart``."""
    try:
        media = MediaSupervisor(media_settings(config))
        await media.start()
    except KeyringError as error:
        raise CannotStart(f"recording keys: {error}") from None
    except MediaUnavailable as error:
        raise CannotStart(f"media: {error}") from None
    cleanup.push_async_callback(media.stop)
    able = media.capabilities()
    log.info("media.started", backend="builtin", able=sorted(able), unable=sorted(set(Capability) - able))
    return media


def media_settings(config: Config) -> MediaSettings:
    """Return the settings of the media workers."""
    media = config.media
    return MediaSettings(
        bind=media.listen.host,
        advertise=media.advertise.host if media.advertise else "",
        port_min=media.ports.first,
        port_max=media.ports.last,
        workers=media.workers,
        rtp_timeout_seconds=media.rtp_timeout_seconds,
        codecs=media.codecs,
        recording=config.recording.settings(),
    )
