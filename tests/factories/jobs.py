"""Job rows and their events, without a queue entry."""

from __future__ import annotations

import factory
from django.utils import timezone

from finwave.jobs.models import Event, Job


class JobFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Job

    kind = "tests.work"
    queue = "cpu"
    title = factory.Sequence(lambda n: f"Work {n}")
    scope_id = 1
    subject_id = 1

    class Params:
        running = factory.Trait(
            status=Job.Status.RUNNING,
            lease_token=factory.Sequence(lambda n: f"token{n}"),
            lease_owner="elsewhere:1:1.00",
            heartbeat_at=factory.LazyFunction(timezone.now),
            attempt=1,
        )
        completed = factory.Trait(
            status=Job.Status.COMPLETED,
            attempt=1,
            finished_at=factory.LazyFunction(timezone.now),
        )


class EventFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Event

    job = factory.SubFactory(JobFactory)
    seq = factory.Sequence(lambda n: n + 1)
    kind = "log"
    data = factory.LazyFunction(lambda: {"level": "info", "message": "hello"})
