"""The tests' hand in the site under test: one JSON command a line, one answer a line."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from finwave.jobs import services  # noqa: E402 -- needs the apps
from finwave.jobs.models import Event, Job  # noqa: E402 -- needs the apps


def start(kind, n_total):
    return services.start_job(
        kind=kind, scope_id=1, subject_id=1, title=kind, n_total=n_total
    ).pk


def deliver(pk):
    services.enqueue(Job.objects.get(pk=pk))


def stop(pk):
    services.stop_job(Job.objects.get(pk=pk))


def look(pk):
    job = Job.objects.get(pk=pk)
    events = list(Event.objects.filter(job=job).values_list("seq", "kind", "data"))
    return {
        "status": job.status,
        "reason": job.reason,
        "n_done": job.n_done,
        "attempt": job.attempt,
        "holder": int(job.lease_owner.split(":")[1]) if job.lease_owner else None,
        "events": events,
    }


def unfinished():
    return list(Job.objects.unfinished().values_list("pk", "kind", "status"))


for line in sys.stdin:
    name, *arguments = json.loads(line)
    answer = globals()[name](*arguments)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
