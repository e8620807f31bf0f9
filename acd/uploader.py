"""Sends CDRs to an HTTP endpoint, from the outbox and until they are acknowledged (通话记录上传)."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import httpx
import msgspec
import structlog

from acd.outbox import OutboxError
from acd.upload import Course, UploadCounters, Verdict, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from acd.config import CdrUpload
    from acd.outbox import Due, Outbox

LONGEST_REASON = 200  # characters of an answer that go to the log
LONGEST_ANSWER = 65_536  # bytes that are read of one, for the sake of its connection
CLOSING_SECONDS = 5.0  # for what waits at the end

log = structlog.get_logger()


class Uploader:
    """The task that sends; `start` and `close` it. ``chance`` returns a number from 0 to 1.

    Raises OSError when the file of authorities cannot be used.
    """

    def __init__(self, settings: CdrUpload, outbox: Outbox, chance: Callable[[], float]) -> None:
        self._settings = settings
        self._outbox = outbox
        self._course = Course(settings, chance)
        self._database = asyncio.Lock()
        self._wake = asyncio.Event()
        self._is_closing = False
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        headers = {"Content-Type": "application/json"}
        if settings.token:
            headers["Authorization"] = f"Bearer {settings.token}"
        self._client = httpx.AsyncClient(
            headers=headers,
            verify=ssl.create_default_context(cafile=settings.ca) if settings.ca else True,
            timeout=settings.timeout_seconds,
            trust_env=False,
        )

    def start(self) -> None:
        """Begin with what a former run left."""
        loop = asyncio.get_running_loop()
        self._outbox.on_put = partial(loop.call_soon_threadsafe, self._wake.set)
        self._task = loop.create_task(self._run(), name="CDR upload")

    async def close(self) -> None:
        """Send what waits, as long as it is taken, for a few seconds at most; the rest is kept for the next start."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=CLOSING_SECONDS)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._client.aclose()

    async def take_back(self) -> int:
        """Send again what is set aside; returns how many records that are. Raises OutboxError."""
        async with self._database:
            count = await asyncio.to_thread(self._outbox.take_back)
        self._wake.set()
        return count

    def counters(self) -> UploadCounters:
        """Return the figures of this moment."""
        return UploadCounters(self._outbox.waiting, self._outbox.aside, self._outbox.acknowledged, self._failures)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            pause = await self._send_next()
            if pause is None and self._wake.is_set():
                continue
            if self._is_closing and pause != 0:
                return
            if pause is None:
                await self._wake.wait()
            elif pause:
                await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        """Wait, unless the end comes before; what else wakes the task has to wait, too."""
        until = asyncio.get_running_loop().time() + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while not self._is_closing:
                    self._wake.clear()
                    await self._wake.wait()

    async def _send_next(self) -> float | None:
        """Send the oldest records; returns the seconds to wait before the next ones, None if there are none."""
        try:
            async with self._database:
                due, body = await asyncio.to_thread(self._load, self._course.size)
            if not due:
                return None
            response, reason = await self._post(body, due)
            match Verdict.of(response.status_code):
                case Verdict.ACCEPTED:
                    await self._acknowledged(due)
                    return 0.0
                case Verdict.REFUSED:
                    return await self._refused(due, reason)
                case Verdict.FAILED:
                    return self._failed(reason, retry_after(response.headers.get("Retry-After", "")))
        except TimeoutError:
            return self._failed(f"no answer within {self._settings.timeout_seconds:g} s")
        except (OutboxError, httpx.HTTPError, OSError) as error:
            return self._failed(str(error) or type(error).__name__)
        except Exception as error:
            log.exception("cdr_upload.broke")
            return self._failed(type(error).__name__)

    def _load(self, limit: int) -> tuple[Sequence[Due], bytes]:
        """Read the oldest records and what is sent for them; in a thread."""
        due = self._outbox.next(limit)
        return due, msgspec.json.encode({"records": [each.cdr for each in due]})

    async def _post(self, body: bytes, due: Sequence[Due]) -> tuple[httpx.Response, str]:
        """Return the answer, and it in words. Raises TimeoutError, httpx.HTTPError and OSError."""
        key = {"Idempotency-Key": due[0].cdr.id} if len(due) == 1 else {}
        async with (
            asyncio.timeout(self._settings.timeout_seconds),
            self._client.stream("POST", str(self._settings.url), content=body, headers=key) as response,
        ):
            answer = b""
            async for part in response.aiter_bytes():
                answer += part
                if len(answer) > LONGEST_ANSWER:
                    break
        said = " ".join(answer.decode(errors="replace").split())[:LONGEST_REASON]
        return response, f"status {response.status_code} {said}".rstrip()

    async def _acknowledged(self, due: Sequence[Due]) -> None:
        async with self._database:
            await asyncio.to_thread(self._outbox.sent, [each.seq for each in due])
        if self._course.failures:
            log.info("cdr_upload.recovered", attempts=self._course.failures + 1, waiting=self._outbox.waiting)
        self._course.accepted()
        log.debug("cdr_upload.sent", records=len(due))

    async def _refused(self, due: Sequence[Due], reason: str) -> float:
        self._failures += 1
        pause = self._course.refused(len(due))
        if pause is None:
            async with self._database:
                await asyncio.to_thread(self._outbox.put_aside, due[0].seq, reason)
            log.error("cdr_upload.set_aside", cdr=due[0].cdr.id, reason=reason)
        elif self._course.failures == 1 and pause:
            log.warning("cdr_upload.refused", cdr=due[0].cdr.id, reason=reason)
        return pause or 0.0

    def _failed(self, reason: str, asked: float = 0.0) -> float:
        self._failures += 1
        pause = self._course.failed(asked)
        if self._course.failures == 1:
            log.warning("cdr_upload.failed", reason=reason, waiting=self._outbox.waiting)
        return pause
