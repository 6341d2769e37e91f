"""Keep one django-q2 cluster at work, whatever is killed, and end it in good time.

django-q2 alone does neither: a killed idle worker takes the lock of the queue with it
and the cluster waits for ever; a killed main process leaves its workers behind; and on
SIGTERM it waits for its tasks without limit.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import psutil
from django.conf import settings
from django.db import DatabaseError, connection

from finwave.jobs import reconcile
from finwave.jobs.models import Job
from finwave.jobs.running import Flag
from finwave.jobs.services import machine_name
from finwave.jobs.tether import tethered
from finwave.jobs.timing import GRACE_S, RECONCILE_S

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_EVERY_S = 0.5
SHORTEST_PAUSE_S = 0.5
# A cluster that lacks processes for so long does not mend itself.
INCOMPLETE_S = 20
# Jobs are handed out within a second, so idle workers beside them are cut off.
STUCK_S = 30
# Pause before the next start when clusters keep ending soon.
LONGEST_PAUSE_S = 30
SOON_S = 60


QUEUES = ("cpu", "train")


def n_workers(queue: str) -> int:
    clusters: Any = settings.Q_CLUSTER["ALT_CLUSTERS"]
    return int(clusters[queue]["workers"])


class Guardian:
    """Runs in the process of `manage.py work`."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.n_workers = n_workers(queue)
        self.ending = Flag()
        self.process: subprocess.Popen[bytes] | None = None
        self.family: dict[int, psutil.Process] = {}
        self.complete_at = 0.0
        self.reconciled_at = 0.0
        self.waiting_since: float | None = None

    def run(self) -> None:
        """Guard until told to end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ending.set())
        pause_s = SHORTEST_PAUSE_S
        while not self.ending.is_set():
            started_at = time.monotonic()
            self._start()
            reason = self._guard()
            self._end()
            if self.ending.is_set():
                break
            logger.warning("queue=%s cluster restarts: %s", self.queue, reason)
            if time.monotonic() - started_at > SOON_S:
                pause_s = SHORTEST_PAUSE_S
            self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        logger.info("queue=%s worker ended", self.queue)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.ending.is_set():
            time.sleep(0.1)

    def _start(self) -> None:
        self._with_database(lambda: reconcile.forget_fetched(self.queue))
        self.process = subprocess.Popen(
            tethered([sys.executable, "-m", "finwave.jobs.cluster"]),
            stdin=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            env={**os.environ, "Q_CLUSTER_NAME": self.queue},
            # Ctrl-C in the terminal is the guardian's to deal with.
            start_new_session=True,
        )
        self.family = {}
        self.complete_at = time.monotonic()
        self.waiting_since = None
        self._reconcile()
        logger.info("queue=%s cluster started pid=%s", self.queue, self.process.pid)

    def _guard(self) -> str:
        """Watch the cluster until it must be replaced or the end; return why."""
        assert self.process is not None
        while not self.ending.is_set():
            if self.process.poll() is not None:
                return f"its main process ended with code {self.process.returncode}"
            if reason := self._look():
                return reason
            if time.monotonic() - self.reconciled_at > RECONCILE_S:
                self._reconcile()
                if self._is_stuck():
                    return "it left queued jobs waiting while its workers were idle"
            time.sleep(LOOK_EVERY_S)
        return "the worker ends"

    def _look(self) -> str:
        """Compare the cluster's processes with those seen last; return what is wrong."""
        alive = {process.pid: process for process in self._cluster_processes()}
        dead = self.family.keys() - alive.keys()
        self.family = alive
        # Sentinel, workers, monitor, pusher.
        if len(alive) >= self.n_workers + 3:
            self.complete_at = time.monotonic()
        elif time.monotonic() - self.complete_at > INCOMPLETE_S:
            return "it lacks processes"
        if not dead:
            return ""
        held = self._holders_among(dead)
        self._reconcile()
        # A busy worker had let go of the queue's lock, so its successor can take
        # tasks. Any other process may have taken the lock of a queue with it.
        return "" if dead <= held else "one of its idle processes died"

    def _cluster_processes(self) -> Iterable[psutil.Process]:
        """The sentinel and its children; not what the workers started."""
        assert self.process is not None
        try:
            sentinels = psutil.Process(self.process.pid).children()
            members = [*sentinels, *(c for s in sentinels for c in s.children())]
            return [m for m in members if m.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            # One ended while it was looked at; the next look sees the rest.
            return [p for p in self.family.values() if p.is_running()]

    def _holders_among(self, pids: Iterable[int]) -> set[int]:
        owners = self._with_database(
            lambda: set(
                Job.objects.active().values_list("lease_owner", flat=True).distinct()
            )
        )
        here = machine_name()
        holders = {owner.rsplit(":", 1)[0] for owner in owners or ()}
        return {pid for pid in pids if f"{here}:{pid}" in holders}

    def _is_stuck(self) -> bool:
        """True when jobs have waited for long though no worker works.

        The last resort against a hang of the cluster that nobody foresaw.
        """
        queued = Job.objects.filter(queue=self.queue, status=Job.Status.QUEUED)
        is_waiting = self._with_database(queued.exists)
        now = time.monotonic()
        if not is_waiting or self._holders_among(self.family):
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = now
        return self.waiting_since is not None and now - self.waiting_since > STUCK_S

    def _reconcile(self) -> None:
        self.reconciled_at = time.monotonic()
        self._with_database(reconcile.reconcile)

    def _with_database(self, work: Callable[[], T]) -> T | None:
        """Do database work that may fail now and is done again later."""
        try:
            return work()
        except DatabaseError:
            logger.exception("queue=%s database not available", self.queue)
            return None
        finally:
            # Nothing is kept open between looks: the database may be replaced.
            connection.close()

    def _end(self) -> None:
        """Let the jobs go back to the queue, then kill whatever is left."""
        assert self.process is not None
        tree = self._tree()
        # Only workers listen. What they supervise is theirs to end: they must know
        # that it ended because they asked.
        for member in self._cluster_processes():
            _send(member, signal.SIGTERM)
        until = time.monotonic() + GRACE_S
        while time.monotonic() < until and self._holders_among(
            member.pid for member in self._tree()
        ):
            time.sleep(0.1)
        for member in {*tree, *self._tree()}:
            _send(member, signal.SIGKILL)
        self.process.wait()
        self._reconcile()

    def _tree(self) -> list[psutil.Process]:
        assert self.process is not None
        try:
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return
