from __future__ import annotations

import os
from datetime import timedelta

import psutil
import pytest
from django.utils import timezone
from django_q.models import OrmQ

from finwave.jobs import services
from finwave.jobs.exceptions import JobNotStoppable, LeaseLost
from finwave.jobs.models import Event, Job
from finwave.jobs.reconcile import forget_fetched, reconcile
from tests.factories.jobs import JobFactory

pytestmark = pytest.mark.django_db


def start():
    return services.start_job(
        kind="tests.work", scope_id=1, subject_id=2, title="Work", n_total=3
    )


def claimed():
    job = start()
    token = services.claim(job.pk)
    return Job.objects.get(pk=job.pk), token


def numbers(job):
    return list(Event.objects.filter(job=job).values_list("seq", flat=True))


def test_start_job_writes_the_row_its_first_event_and_a_queue_entry():
    job = start()

    job.refresh_from_db()
    assert (job.status, job.queue, job.last_seq) == ("queued", "cpu", 1)
    entry = OrmQ.objects.get()
    assert (entry.key, entry.task["args"]) == ("cpu", (job.pk,))


def test_claim_is_won_once():
    job = start()

    first, second = services.claim(job.pk), services.claim(job.pk)

    job.refresh_from_db()
    assert first == job.lease_token
    assert second is None
    assert job.attempt == 1
    assert services.is_holder_alive(job)


def test_first_start_is_kept_over_attempts():
    job, token = claimed()
    services.requeue(job.pk, token, reason="", is_orderly=True)
    services.claim(job.pk)

    assert Job.objects.get(pk=job.pk).started_at == job.started_at


def test_events_are_numbered_without_gaps_whoever_writes():
    job, token = claimed()

    services.append_event(job.pk, "log", {}, token=token)
    services.stop_job(job)
    last = services.append_events(job.pk, [("a", {}), ("b", {})], token=token)

    assert numbers(job) == [1, 2, 3, 4, 5, 6]
    assert last == 6


def test_who_lost_the_lease_writes_nothing_more():
    job, old = claimed()
    services.requeue(job.pk, old, reason="", is_orderly=True)
    new = services.claim(job.pk)
    before = numbers(job)

    with pytest.raises(LeaseLost):
        services.append_event(job.pk, "log", {}, token=old)
    with pytest.raises(LeaseLost):
        services.update_held(job.pk, old, n_done=1)
    assert not services.heartbeat(job.pk, old)
    assert not services.finish(job.pk, old, Job.Status.COMPLETED)
    assert not services.requeue(job.pk, old, reason="", is_orderly=True)

    assert numbers(job) == before
    assert Job.objects.get(pk=job.pk).lease_token == new


def test_finish_tells_the_kind_and_lets_the_lease_go(handler):
    job, token = claimed()

    assert services.finish(job.pk, token, Job.Status.COMPLETED)

    job.refresh_from_db()
    assert (job.status, job.lease_token) == ("completed", "")
    assert job.finished_at is not None
    assert handler.ended == [(job.pk, "completed")]


def test_finish_stands_though_the_kind_fails_to_hear_of_it(handler):
    def fail(job):
        raise ValueError

    handler.on_ended = fail
    job, token = claimed()

    assert services.finish(job.pk, token, Job.Status.COMPLETED)

    job.refresh_from_db()
    assert job.status == Job.Status.COMPLETED


def test_stop_of_a_job_that_never_ran_ends_it(handler):
    job = start()

    services.stop_job(job)

    job.refresh_from_db()
    assert (job.status, job.reason) == ("stopped", "Stopped before it started.")
    assert handler.ended == [(job.pk, "stopped")]
    assert services.claim(job.pk) is None


def test_stop_of_a_running_job_asks_once(trainer):
    job, _ = claimed()

    services.stop_job(job, trainer)
    asked_at = job.stop_requested_at
    before = numbers(job)
    services.stop_job(job)

    job.refresh_from_db()
    assert job.status == Job.Status.STOPPING
    assert (job.stop_requested_at, job.stop_requested_by) == (asked_at, trainer)
    assert numbers(job) == before


def test_stop_of_an_interrupted_job_lets_it_run_once_more_to_end_tidily():
    job, token = claimed()
    services.requeue(job.pk, token, reason="", is_orderly=True)

    services.stop_job(job)

    job.refresh_from_db()
    assert job.status == Job.Status.QUEUED
    assert services.claim(job.pk) is not None


def test_stop_of_an_ended_job_is_refused():
    job = JobFactory(completed=True)

    with pytest.raises(JobNotStoppable, match="has ended already"):
        services.stop_job(job)


def test_requeue_keeps_a_stop_request_of_a_dead_holder():
    job, token = claimed()
    services.stop_job(job)

    services.requeue(job.pk, token, reason="died", is_orderly=False)

    job.refresh_from_db()
    assert job.status == Job.Status.QUEUED
    assert job.stop_requested_at is not None


def test_job_is_given_up_after_three_attempts_without_progress(handler):
    job = start()
    for _ in range(2):
        token = services.claim(job.pk)
        services.requeue(job.pk, token, reason="It died.", is_orderly=False)
        assert Job.objects.get(pk=job.pk).status == Job.Status.QUEUED
    token = services.claim(job.pk)

    services.requeue(job.pk, token, reason="It died.", is_orderly=False)

    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    assert job.reason == (
        "Given up after 3 attempts in a row that ended without any progress. It died."
    )
    assert handler.ended == [(job.pk, "failed")]


def test_orderly_interruptions_never_give_a_job_up():
    job = start()
    for _ in range(5):
        token = services.claim(job.pk)
        assert services.requeue(job.pk, token, reason="", is_orderly=True)

    assert Job.objects.get(pk=job.pk).status == Job.Status.QUEUED


# Who is alive -----------------------------------------------------------------


def holder(host, pid, started, beat_s_ago):
    return JobFactory(
        running=True,
        lease_owner=f"{host}:{pid}:{started}",
        heartbeat_at=timezone.now() - timedelta(seconds=beat_s_ago),
    )


def test_holder_on_this_machine_is_looked_for():
    here, me = services.machine_name(), psutil.Process(os.getpid())
    started = me.create_time()

    assert services.is_holder_alive(holder(here, me.pid, started, 60))
    # The number is somebody else's by now.
    assert not services.is_holder_alive(holder(here, me.pid, started - 100, 0))
    assert not services.is_holder_alive(holder(here, 2**22 + 1, started, 0))
    # Its heart stopped long ago, though the process is there.
    assert not services.is_holder_alive(holder(here, me.pid, started, 3600))


def test_holder_on_another_machine_is_known_by_its_heartbeat_only():
    me = os.getpid()

    assert services.is_holder_alive(holder("elsewhere", me, 1.0, 10))
    assert not services.is_holder_alive(holder("elsewhere", me, 1.0, 60))
    assert not services.is_holder_alive(holder("", me, 1.0, 60))


# Reconcile --------------------------------------------------------------------


def test_reconcile_requeues_what_a_dead_worker_held():
    dead = holder(services.machine_name(), 2**22 + 1, 1.0, 0)
    alive = holder("elsewhere", 1, 1.0, 0)

    assert reconcile() == 1

    dead.refresh_from_db()
    alive.refresh_from_db()
    assert dead.status == Job.Status.QUEUED
    assert "continues where it was" in dead.reason
    assert alive.status == Job.Status.RUNNING
    assert [entry.task["args"] for entry in OrmQ.objects.all()] == [(dead.pk,)]


def test_reconcile_enqueues_what_the_queue_forgot_and_nothing_twice():
    forgotten = JobFactory()
    start()

    assert reconcile() == 1
    assert reconcile() == 0

    assert OrmQ.objects.count() == 2
    assert OrmQ.objects.last().task["args"] == (forgotten.pk,)


def test_what_a_dead_cluster_had_fetched_is_offered_again():
    job = start()
    OrmQ.objects.update(lock=timezone.now() + timedelta(days=100))

    forget_fetched("train")
    assert OrmQ.objects.count() == 1
    forget_fetched("cpu")
    assert reconcile() == 1

    entry = OrmQ.objects.get()
    assert entry.task["args"] == (job.pk,)
    assert entry.lock <= timezone.now()
