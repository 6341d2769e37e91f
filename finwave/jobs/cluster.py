"""One django-q2 cluster as a process of its own, tied to its guardian.

`python -m finwave.jobs.cluster`, with `Q_CLUSTER_NAME` in the environment: the name
is read when django-q2 is imported, so neither an argument nor its `-n` could set it.
"""

from __future__ import annotations

import signal

import django
from setproctitle import setproctitle

from finwave.jobs import tether


def main() -> None:
    tether.watch_parent()
    tether.tie_forks()
    django.setup()
    from django_q.cluster import (  # noqa: PLC0415 -- needs the apps
        Cluster,
    )
    from django_q.signals import post_spawn  # noqa: PLC0415 -- needs the apps

    # The guardian ends this cluster, never a signal: on SIGTERM django-q2 waits
    # without limit for its tasks, and deadlocks when the whole group got it. Blocked
    # signals stay blocked in every fork; only the workers listen.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    post_spawn.connect(listen, dispatch_uid="finwave.jobs.cluster")
    cluster = Cluster()
    cluster.start()
    setproctitle("finwave: cluster")
    # Without its sentinel a cluster is dead; the guardian starts another.
    cluster.sentinel.join()
    raise SystemExit(1)


def listen(**kwargs: object) -> None:
    """In a worker: let SIGTERM ask the running job to go back to the queue."""
    from finwave.jobs.running import (  # noqa: PLC0415 -- needs the apps
        shutting_down,
    )

    signal.signal(signal.SIGTERM, lambda *_: shutting_down.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
