from __future__ import annotations

from finwave.jobs.models import Job
from tests.factories.jobs import JobFactory


def test_job_stop_asks_the_job_to_stop(client, trainer):
    job = JobFactory(running=True)
    client.force_login(trainer)

    response = client.post(f"/jobs/{job.pk}/stop/")

    job.refresh_from_db()
    assert response.status_code == 302
    assert response.url == f"/subjects/{job.subject_id}/"
    assert job.status == Job.Status.STOPPING
    assert job.stop_requested_by == trainer


def test_job_stop_answers_htmx_with_the_component(client, trainer):
    job = JobFactory(running=True)
    client.force_login(trainer)

    response = client.post(f"/jobs/{job.pk}/stop/", headers={"HX-Request": "true"})

    html = response.content.decode()
    assert "<html" not in html
    assert f'id="job-{job.pk}-progress"' in html
    assert "Stopping" in html


def test_job_stop_of_an_ended_job_says_so(client, trainer):
    job = JobFactory(completed=True, title="Import of May")
    client.force_login(trainer)

    response = client.post(f"/jobs/{job.pk}/stop/")

    job.refresh_from_db()
    assert response.status_code == 302
    assert job.status == Job.Status.COMPLETED
    messages = [m.message for m in response.wsgi_request._messages]
    assert messages == ["Import of May has ended already."]


def test_job_stop_access(client, stranger, viewer):
    job = JobFactory(running=True)
    url = f"/jobs/{job.pk}/stop/"

    assert client.post(url).status_code == 302
    client.force_login(stranger)
    assert client.post(url).status_code == 404
    client.force_login(viewer)
    assert client.post(url).status_code == 403
    assert client.get(url).status_code == 405
    job.refresh_from_db()
    assert job.status == Job.Status.RUNNING
