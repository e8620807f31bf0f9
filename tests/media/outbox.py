"""A desk next door: jobs are done at once, having gone through what the other process would read."""

from collections.abc import Callable

from media.frames import FrameReader, encode
from media.recording import jobs
from media.recording.desk import Desk
from media.recording.report import Recorded
from media.recording.settings import RecordingSettings


class DeskOutbox:
    """Where recordings of a test go; `told` is what was complained about, `is_full` says that nothing has room."""

    def __init__(self, settings: RecordingSettings) -> None:
        self.left_out = 0
        self.is_full = False
        self.told: list[tuple[str, str]] = []
        self.desk = Desk(settings, self._report)
        self._done: Callable[[Recorded], None] | None = None

    def takes(self, octets: int) -> bool:
        return not self.is_full

    def send(self, job: jobs.Job) -> None:
        (body,) = FrameReader().feed(encode(job))
        read = jobs.job_decoder.decode(body)
        assert not isinstance(read, jobs.Start)
        self.desk.perform(read)

    def finish(self, job: jobs.Finish, done: Callable[[Recorded], None]) -> None:
        self._done = done
        self.send(job)

    def _report(self, report: jobs.Report) -> None:
        (body,) = FrameReader().feed(encode(report))
        read = jobs.report_decoder.decode(body)
        if isinstance(read, jobs.Complained):
            self.told.append((read.path, read.text))
        elif isinstance(read, jobs.Finished):
            assert self._done is not None
            self._done(read.recorded)
