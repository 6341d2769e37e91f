from __future__ import annotations

import time

import pytest
from django.db import OperationalError

from finwave.jobs import running, services
from finwave.jobs.exceptions import Interrupted, JobError, LeaseLost, ProcessDied
from finwave.jobs.models import Event, Job
from finwave.jobs.running import shutting_down
from finwave.jobs.tasks import run_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def job():
    return services.start_job(kind="tests.work", scope_id=1, subject_id=2, title="Work")


def fail_with(error):
    def work(run):
        raise error

    return work


def test_job_completes_with_its_last_progress_written(job, handler):
    def work(run):
        run.begin(n_total=10, phase="counting")
        for n in range(1, 11):
            run.progress(n, n_failed=n // 5)

    handler.work = work

    run_job(job.pk)

    job.refresh_from_db()
    assert (job.status, job.reason) == ("completed", "")
    assert (job.n_done, job.n_failed, job.n_total) == (10, 2, 10)
    events = list(Event.objects.filter(job=job).values_list("seq", "kind"))
    # The first progress at once, those of the next half second as one.
    assert [kind for _, kind in events] == [
        *("status", "status", "status"),
        *("progress", "progress", "status"),
    ]
    assert [seq for seq, _ in events] == [1, 2, 3, 4, 5, 6]


def test_second_and_third_delivery_do_nothing(job, handler):
    calls = []
    handler.work = lambda run: calls.append(run.job_id)

    for _ in range(3):
        run_job(job.pk)

    assert calls == [job.pk]


def test_delivery_of_a_deleted_job_does_nothing(job):
    pk = job.pk
    job.delete()

    run_job(pk)


def test_handler_that_sees_the_stop_ends_as_stopped(job, handler):
    def work(run):
        run.begin(n_total=3)
        services.stop_job(Job.objects.get(pk=run.job_id))
        assert run.should_stop()

    handler.work = work

    run_job(job.pk)

    job.refresh_from_db()
    assert job.status == Job.Status.STOPPED


def test_stop_after_the_last_look_finds_the_work_complete(job, handler):
    def work(run):
        assert not run.should_stop()
        services.stop_job(Job.objects.get(pk=run.job_id))

    handler.work = work

    run_job(job.pk)

    job.refresh_from_db()
    assert job.status == Job.Status.COMPLETED


def test_stop_while_preparing_is_not_overwritten_by_begin(job, handler):
    seen = []

    def work(run):
        services.stop_job(Job.objects.get(pk=run.job_id))
        run.begin(n_total=3)
        seen.append(Job.objects.get(pk=run.job_id).status)

    handler.work = work

    run_job(job.pk)

    assert seen == [Job.Status.STOPPING]


def test_plain_failure_is_told_to_the_user(job, handler):
    handler.work = fail_with(JobError("The file is not a ZIP."))

    run_job(job.pk)

    job.refresh_from_db()
    assert (job.status, job.reason) == ("failed", "The file is not a ZIP.")


def test_unexpected_error_fails_the_job_and_reaches_the_queue(job, handler):
    handler.work = fail_with(ZeroDivisionError("division by zero"))

    with pytest.raises(ZeroDivisionError):
        run_job(job.pk)

    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    assert "division by zero" in job.reason


def test_database_that_was_not_available_is_no_failure_of_the_job(job, handler):
    handler.work = fail_with(OperationalError("database is locked"))

    run_job(job.pk)

    job.refresh_from_db()
    assert job.status == Job.Status.QUEUED
    assert "database is locked" in job.reason


def test_unknown_kind_fails_the_job(job):
    Job.objects.update(kind="removed.kind")

    with pytest.raises(KeyError):
        run_job(job.pk)

    job.refresh_from_db()
    assert job.status == Job.Status.FAILED


def test_shutdown_puts_the_job_back_as_no_failed_attempt(job, handler):
    def work(run):
        shutting_down.set()
        run.should_stop()

    handler.work = work

    run_job(job.pk)

    job.refresh_from_db()
    assert (job.status, job.reason) == ("queued", running.SHUT_DOWN)
    assert job.failed_attempts == 0


def test_worker_that_shuts_down_takes_no_job(job):
    shutting_down.set()

    run_job(job.pk)

    job.refresh_from_db()
    assert (job.status, job.attempt) == ("queued", 0)


def test_death_of_the_process_without_progress_is_given_up(job, handler):
    handler.work = fail_with(ProcessDied("Its process was killed."))

    for _ in range(3):
        run_job(job.pk)

    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    assert job.reason.endswith("Its process was killed.")


def test_death_of_the_process_after_progress_is_not(job, handler):
    def work(run):
        run.begin(n_total=100)
        run.progress(run.attempt)
        raise ProcessDied("Its process was killed.")

    handler.work = work

    for _ in range(5):
        run_job(job.pk)

    job.refresh_from_db()
    assert (job.status, job.attempt, job.n_done) == ("queued", 5, 5)


def test_overtaken_holder_leaves_the_job_alone(job, handler):
    def work(run):
        run.begin(n_total=10)
        Job.objects.update(lease_token="somebody else's")
        for call in (
            lambda: run.log("hello"),
            lambda: run.progress(1, force=True),
            lambda: run.begin(n_total=1),
            run.mark_progress,
        ):
            with pytest.raises(LeaseLost):
                call()
        run.log("hello")

    handler.work = work

    run_job(job.pk)

    job.refresh_from_db()
    assert (job.status, job.lease_token) == ("running", "somebody else's")
    assert not Event.objects.filter(kind="log").exists()


def test_begin_of_a_resumed_job_may_have_less_to_do(job, handler):
    def first(run):
        run.begin(n_total=10)
        run.progress(8)
        raise Interrupted("later")

    handler.work = first
    run_job(job.pk)
    handler.work = lambda run: run.begin(n_total=5)

    run_job(job.pk)

    job.refresh_from_db()
    assert (job.n_done, job.n_total) == (5, 5)


def test_rate_and_time_left_come_from_this_attempt(job, handler):
    def work(run):
        run.begin(n_total=100)
        run.progress(50)
        time.sleep(0.2)
        run.progress(60, force=True)
        row = Job.objects.get(pk=run.job_id)
        assert 20 < row.rate <= 50
        assert row.time_left_s == pytest.approx(40 / row.rate)

    handler.work = work

    run_job(job.pk)

    job.refresh_from_db()
    assert job.status == Job.Status.COMPLETED, job.reason


@pytest.mark.django_db(transaction=True)
def test_heart_beats_while_the_handler_is_silent(handler, monkeypatch):
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    job = services.start_job(
        kind="tests.work", scope_id=1, subject_id=2, title="Silent"
    )
    beats = set()

    def work(run):
        until = time.monotonic() + 30
        while len(beats) < 3 and time.monotonic() < until:
            beats.add(Job.objects.get(pk=run.job_id).heartbeat_at)
            time.sleep(0.02)

    handler.work = work

    run_job(job.pk)

    assert len(beats) >= 3


@pytest.mark.django_db(transaction=True)
def test_lost_lease_is_noticed_by_the_heart(handler, monkeypatch):
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    job = services.start_job(kind="tests.work", scope_id=1, subject_id=2, title="Lost")
    noticed = []

    def work(run):
        Job.objects.update(lease_token="somebody else's")
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                run.check_lease()
            except LeaseLost:
                noticed.append(True)
                raise
            time.sleep(0.02)

    handler.work = work

    run_job(job.pk)

    assert noticed == [True]
