"""Where the jobs of a worker's recordings are done, one after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable

from media.recording import jobs
from media.recording.report import Recorded
from media.recording.settings import RecordingSettings
from media.recording.stretch import Stretch
from media.recording.timeline import Timeline
from media.recording.work import Work


class Desk:
    """Writes recordings. `post` takes what is to be reported; `errors` and `octets` are totals."""

    def __init__(self, settings: RecordingSettings, post: Callable[[jobs.Report], None]) -> None:
        self.errors = 0
        self.octets = 0
        self._settings = settings
        self._post = post
        self._works: dict[int, Work] = {}

    def perform(self, job: jobs.Job) -> None:
        """Do a job. The fault of one recording does not end the others."""
        try:
            if isinstance(job, jobs.Begin):
                self._begin(job)
            elif (work := self._works.get(job.recording)) is not None:
                self._go_on(work, job)
        except Exception as error:  # noqa: BLE001
            self.errors += 1
            self.complain("", f"A recording failed: {error!r}.")

    def complain(self, path: str, text: str) -> None:
        """Have something logged."""
        self._post(jobs.Complained(path, text))

    def close(self, now: float) -> None:
        """Complete what nobody has completed."""
        for recording, work in list(self._works.items()):
            self.perform(jobs.Finish(recording, now, work.left_out))

    def _begin(self, job: jobs.Begin) -> None:
        settings = self._settings
        path = settings.part_path(job.path, job.part)
        earlier = [settings.part_path(job.path, part) for part in range(1, job.part)]
        work = Work(path, settings, self, Timeline(job.now, job.rate), began=job.began, earlier=earlier)
        self._works[job.recording] = work

    def _go_on(self, work: Work, job: jobs.Hear | jobs.GoOn | jobs.Turn | jobs.Finish) -> None:
        if isinstance(job, jobs.Hear):
            work.hear(job.speaker, job.channel, Stretch.of(job.coding, job.source, job.columns))
        elif isinstance(job, jobs.GoOn):
            work.left_out = job.left_out
            work.go_on(job.now)
        elif isinstance(job, jobs.Turn):
            work.turn(job.change, job.now)
        else:
            work.left_out = job.left_out
            del self._works[job.recording]
            work.finish(job.now, functools.partial(self._finished, job.recording))

    def _finished(self, recording: int, recorded: Recorded) -> None:
        self._post(jobs.Finished(recording, recorded))
