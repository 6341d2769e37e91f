"""What a job's handler is given: its lease, its voice and its ears."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from finwave.jobs import services
from finwave.jobs.exceptions import Interrupted, LeaseLost
from finwave.jobs.models import Job
from finwave.jobs.timing import HEARTBEAT_S

logger = logging.getLogger(__name__)

# Progress is written at most so often; the last one of a handler always is.
PROGRESS_EVERY_S = 0.5
SHUT_DOWN = "The worker shut down; it continues where it was."


class Flag:
    """A switch that a signal handler may set.

    `threading.Event` may not: its lock is not re-entrant, so a second signal that
    arrives inside `set` deadlocks the process.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set


# Set by the worker's signal handler when the worker is to end.
shutting_down = Flag()


class JobRun:
    """One attempt at a job. All its methods may raise `LeaseLost`."""

    def __init__(self, job: Job, token: str) -> None:
        self.job_id = job.pk
        self.subject_id = job.subject_id
        self.scope_id = job.scope_id
        self.attempt = job.attempt
        self.token = token
        # True once the handler was told of a stop request: it ends as stopped. A
        # request that comes after the last look finds the work complete.
        self.is_stopping = False
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._progress_at = 0.0
        self._unwritten: dict[str, Any] | None = None
        self._rate_from: tuple[float, int] | None = None
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> JobRun:
        self._heart.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._ended.set()
        self._heart.join(timeout=HEARTBEAT_S + 1)
        if self._unwritten is not None and not (kind and issubclass(kind, LeaseLost)):
            self.progress(**self._unwritten, force=True)

    def _beat(self) -> None:
        try:
            while not self._ended.wait(HEARTBEAT_S):
                try:
                    is_held = services.heartbeat(self.job_id, self.token)
                except DatabaseError:
                    # A long lock or a restart of the database: the next beat may
                    # succeed, and a lease lost meanwhile is seen then.
                    logger.warning("job=%s heartbeat failed", self.job_id)
                    connection.close()
                    continue
                if not is_held:
                    self._lost.set()
                    return
        finally:
            connection.close()

    def begin(self, *, n_total: int, phase: str = "") -> None:
        """Say that preparation is over and how much there is to do."""
        with transaction.atomic():
            job = Job.objects.filter(pk=self.job_id).only("n_done", "status").first()
            services.update_held(
                self.job_id,
                self.token,
                n_total=n_total,
                n_done=min(job.n_done, n_total) if job else 0,
                phase=phase,
            )
            Job.objects.filter(pk=self.job_id, status=Job.Status.PREPARING).update(
                status=Job.Status.RUNNING
            )
            status = Job.objects.values_list("status", flat=True).get(pk=self.job_id)
            self._append("status", {"status": status, "n_total": n_total})

    def progress(
        self,
        n_done: int,
        *,
        n_failed: int = 0,
        phase: str | None = None,
        time_left_s: float | None = None,
        rate: float | None = None,
        force: bool = False,
    ) -> None:
        """Write how far the work is; cheap to call often.

        Rate and time left are worked out from this attempt's progress when not given.
        """
        self.check_lease()
        now = time.monotonic()
        if self._rate_from is None:
            self._rate_from = (now, n_done)
        if not force and now - self._progress_at < PROGRESS_EVERY_S:
            self._unwritten = {
                "n_done": n_done,
                "n_failed": n_failed,
                "phase": phase,
                "time_left_s": time_left_s,
                "rate": rate,
            }
            return
        self._progress_at = now
        self._unwritten = None
        since, done_then = self._rate_from
        if rate is None and now > since and n_done > done_then:
            rate = (n_done - done_then) / (now - since)
        fields: dict[str, Any] = {
            "n_done": n_done,
            "n_failed": n_failed,
            "rate": rate,
            "time_left_s": time_left_s,
        }
        if phase is not None:
            fields["phase"] = phase
        with transaction.atomic():
            self._append("progress", self.write_progress(fields))

    def write_progress(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Put progress on the row and return it complete, as the event says it.

        Progress clears the count of attempts without any. Call it inside the
        transaction that writes the event.
        """
        job = Job.objects.filter(pk=self.job_id).only("n_total", "n_done").first()
        if job is None:
            raise LeaseLost(f"job {self.job_id} is gone")
        n_total = fields.get("n_total", job.n_total)
        n_done = fields.get("n_done", job.n_done)
        n_done = min(n_done, n_total) if n_total else n_done
        fields = {**fields, "n_total": n_total, "n_done": n_done}
        if fields.get("time_left_s") is None and fields.get("rate") and n_total:
            fields["time_left_s"] = (n_total - n_done) / fields["rate"]
        cleared = {"failed_attempts": 0} if n_done > job.n_done else {}
        services.update_held(self.job_id, self.token, **fields, **cleared)
        return fields

    def mark_progress(self) -> None:
        """Say that this attempt got somewhere, though `n_done` did not move."""
        services.update_held(self.job_id, self.token, failed_attempts=0)

    def event(self, kind: str, data: dict[str, Any]) -> int:
        """Append an event of the handler's own kind."""
        self.check_lease()
        return self._append(kind, data)

    def log(self, message: str, level: str = "info") -> None:
        """Append a line to the job's log, for the user to read."""
        self.event(
            "log",
            {"level": level, "message": message, "at": timezone.now().isoformat()},
        )

    def _append(self, kind: str, data: dict[str, Any]) -> int:
        return services.append_event(self.job_id, kind, data, token=self.token)

    def check_lease(self) -> None:
        if self._lost.is_set():
            raise LeaseLost(f"job {self.job_id} is held by somebody else")

    def should_stop(self) -> bool:
        """True when the user asked for a stop.

        Raises:
            Interrupted: when the worker is shutting down; let it pass through, the
                job goes back to the queue.
            LeaseLost: when somebody else holds the job.
        """
        self.check_lease()
        if self.is_stop_requested():
            return True
        if shutting_down.is_set():
            raise Interrupted(SHUT_DOWN)
        return False

    def is_stop_requested(self) -> bool:
        """True when the user asked for a stop, from then on the job ends as stopped."""
        self.is_stopping = Job.objects.filter(
            pk=self.job_id, stop_requested_at__isnull=False
        ).exists()
        return self.is_stopping
