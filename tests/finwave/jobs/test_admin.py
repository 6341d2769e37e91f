from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from finwave.jobs.models import Job
from tests.factories.accounts import UserFactory
from tests.factories.jobs import EventFactory, JobFactory


@pytest.fixture
def staff(client, db):
    user = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def ask_to_stop(client, *jobs):
    return client.post(
        "/admin/jobs/job/",
        {"action": "ask_to_stop", "_selected_action": [job.pk for job in jobs]},
        follow=True,
    )


def test_admin_lists_jobs_and_finds_them(client, staff):
    JobFactory(title="Import of May", running=True, n_total=4, n_done=1)
    JobFactory(title="Import of June")

    html = client.get("/admin/jobs/job/?q=May&status=running").content.decode()

    assert "Import of May" in html
    assert "1 of 4 photos" in html
    assert "Import of June" not in html


def test_admin_asks_jobs_to_stop_and_names_those_that_ended(client, staff):
    running, ended = JobFactory(running=True), JobFactory(completed=True, title="Old")

    html = ask_to_stop(client, running, ended).content.decode()

    running.refresh_from_db()
    ended.refresh_from_db()
    assert running.status == Job.Status.STOPPING
    assert running.stop_requested_by == staff
    assert ended.status == Job.Status.COMPLETED
    assert "1 asked to stop." in html
    assert "Old has ended already." in html


def test_admin_who_may_only_look_cannot_stop(client, db):
    user = UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_job"))
    client.force_login(user)
    job = JobFactory(running=True)

    ask_to_stop(client, job)

    job.refresh_from_db()
    assert job.status == Job.Status.RUNNING


@pytest.mark.parametrize("model", ["job", "event"])
def test_admin_changes_nothing_by_hand(client, staff, model):
    event = EventFactory()
    pk = event.pk if model == "event" else event.job_id
    base = f"/admin/jobs/{model}"

    assert client.get(f"{base}/").status_code == 200
    assert client.get(f"{base}/{pk}/change/").status_code == 200
    assert client.post(f"{base}/{pk}/change/", {}).status_code == 403
    assert client.get(f"{base}/add/").status_code == 403
    assert client.post(f"{base}/{pk}/delete/", {"post": "yes"}).status_code == 403
