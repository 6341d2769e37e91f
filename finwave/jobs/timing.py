"""How often and how long: every interval of the job mechanism, overridable in settings.

The defaults are for real use; the killing tests shorten them.
"""

from __future__ import annotations

from django.conf import settings


def _seconds(name: str, default: float) -> float:
    return float(getattr(settings, name, default))


# The holder of a job writes its heartbeat so often, from a thread of its own.
HEARTBEAT_S = _seconds("FINWAVE_JOB_HEARTBEAT_S", 5)
# A holder on another machine that did not write for so long is taken for dead: only a
# dead, frozen or cut-off process misses six heartbeats.
LEASE_S = _seconds("FINWAVE_JOB_LEASE_S", 30)
# A holder on this machine can be seen to live. Only when it was silent for so long all
# the same (stopped, or its thread of heartbeats died) is the job taken from it.
FROZEN_S = _seconds("FINWAVE_JOB_FROZEN_S", 300)
# How often the guardian looks for jobs that nobody works on.
RECONCILE_S = _seconds("FINWAVE_JOB_RECONCILE_S", 60)
# What the jobs of a worker that shuts down have to go back to the queue. With the web
# process's share this keeps the end of `serve` within ten seconds.
GRACE_S = _seconds("FINWAVE_JOB_GRACE_S", 7)
# What a supervised process has to end after a stop request before it is killed: a
# checkpoint of a large model on a slow disk takes tens of seconds.
STOP_GRACE_S = _seconds("FINWAVE_JOB_STOP_GRACE_S", 120)
# Attempts in a row that made no progress before the job is given up.
MAX_FAILED_ATTEMPTS = 3
