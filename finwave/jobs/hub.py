"""One thread a web process that notices new events and hands them to the sockets.

Nothing is sent between processes: the table of events is the log, and the thread reads
each new row once, writes it as JSON once, and gives the text to every subscriber.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import connection

from finwave.jobs.models import Event, Job

logger = logging.getLogger(__name__)

# SQLite tells in microseconds whether anything was committed; other databases are asked.
SQLITE_POLL_S = 0.025
OTHER_POLL_S = 0.5
# After an error of the database.
RETRY_S = 1.0
# What waits for a socket at most; one that lags further comes back by its cursor.
QUEUE_LENGTH = 1000
READ_AT_ONCE = 500


class Message(NamedTuple):
    """One event, ready to be sent."""

    seq: int
    text: str
    is_last: bool  # the job has ended, nothing follows


@dataclass(eq=False, slots=True)
class Subscription:
    """What one socket waits on; its queue is only touched in its own event loop."""

    job_id: int
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[Message] = field(
        default_factory=lambda: asyncio.Queue(QUEUE_LENGTH)
    )
    is_overrun: bool = False
    is_closed: bool = False

    def put(self, messages: list[Message]) -> None:
        for message in messages:
            if self.queue.full():
                self.is_overrun = True
                return
            self.queue.put_nowait(message)


def read_after(job_id: int, cursor: int, limit: int = READ_AT_ONCE) -> list[Message]:
    """Read the job's next events from the table."""
    rows = Event.objects.filter(job_id=job_id, seq__gt=cursor).order_by("seq")
    return [
        Message(
            seq=seq,
            text=json.dumps({"seq": seq, "kind": kind, "data": data}),
            is_last=kind == "status" and data.get("status") in Job.TERMINAL,
        )
        for seq, kind, data in rows.values_list("seq", "kind", "data")[:limit]
    ]


class Hub:
    """Its thread lives while there are subscribers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: dict[int, set[Subscription]] = {}
        # Up to where each job's events were handed out.
        self._cursors: dict[int, int] = {}
        self._thread: threading.Thread | None = None
        self._data_version = -1

    def subscribe(self, subscription: Subscription) -> None:
        """Hand out every event committed from now on; earlier ones are in the table.

        Reads the database, so call it from a thread.
        """
        job_id = subscription.job_id
        with self._lock:
            # The socket may have gone before this thread came to run.
            if subscription.is_closed:
                return
            if job_id not in self._cursors:
                last = Job.objects.values_list("last_seq", flat=True)
                self._cursors[job_id] = last.filter(pk=job_id).first() or 0
            self._subscriptions.setdefault(job_id, set()).add(subscription)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, daemon=True, name="hub"
                )
                self._thread.start()

    def unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            subscription.is_closed = True
            others = self._subscriptions.get(subscription.job_id, set())
            others.discard(subscription)
            if not others:
                self._subscriptions.pop(subscription.job_id, None)
                self._cursors.pop(subscription.job_id, None)

    def is_at_rest(self) -> bool:
        return self._thread is None

    def _run(self) -> None:
        self._data_version = -1
        poll_s = OTHER_POLL_S
        if connection.vendor == "sqlite":
            poll_s = SQLITE_POLL_S
        try:
            while True:
                try:
                    if not self._look():
                        return
                    time.sleep(poll_s)
                except Exception:
                    # Whatever it was, the sockets wait for this thread.
                    logger.exception("hub: looks again in %s s", RETRY_S)
                    self._data_version = -1
                    connection.close()
                    time.sleep(RETRY_S)
        finally:
            connection.close()

    def _look(self) -> bool:
        """Hand out what is new; False when nobody listens and the thread may end."""
        # The version comes before the jobs: of an event that commits in between, the
        # next look sees the version change; of a job that is subscribed to in
        # between, the cursor was read after the version.
        is_changed = connection.vendor != "sqlite" or self._has_version_changed()
        with self._lock:
            if not self._subscriptions:
                self._thread = None
                return False
            cursors = dict(self._cursors)
        if is_changed:
            self._hand_out(cursors)
        return True

    def _has_version_changed(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            version = int(cursor.fetchone()[0])
        was, self._data_version = self._data_version, version
        return version != was

    def _hand_out(self, cursors: dict[int, int]) -> None:
        moved = Job.objects.filter(pk__in=cursors).values_list("pk", "last_seq")
        for job_id, last_seq in list(moved):
            cursor = cursors[job_id]
            while cursor < last_seq and (messages := read_after(job_id, cursor)):
                cursor = messages[-1].seq
                with self._lock:
                    if job_id in self._cursors:
                        self._cursors[job_id] = max(self._cursors[job_id], cursor)
                    subscribers = list(self._subscriptions.get(job_id, ()))
                _deliver(subscribers, messages)


def _deliver(subscribers: Iterable[Subscription], messages: list[Message]) -> None:
    for subscription in subscribers:
        try:
            subscription.loop.call_soon_threadsafe(subscription.put, messages)
        except RuntimeError:
            # Its event loop is closed: the socket is gone and will unsubscribe.
            continue


hub = Hub()
