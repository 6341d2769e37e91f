from __future__ import annotations

from tests.factories.jobs import JobFactory


def test_job_progress_shows_state_figures_and_stop(client, trainer):
    job = JobFactory(
        running=True, n_total=2000, n_done=500, n_failed=3, rate=12.5, time_left_s=120
    )
    client.force_login(trainer)

    response = client.get(f"/jobs/{job.pk}/progress/")

    html = response.content.decode()
    assert response.status_code == 200
    assert "<html" not in html
    assert f'id="job-{job.pk}-progress"' in html
    assert "Running" in html
    assert "25 %" in html
    assert "2\N{NARROW NO-BREAK SPACE}000" in html
    assert "3 failed" in html
    assert "12.5 photos/s" in html
    assert "2\N{NARROW NO-BREAK SPACE}min left" in html
    assert f'action="/jobs/{job.pk}/stop/"' in html
    assert f'href="/subjects/{job.subject_id}/"' in html


def test_job_progress_stops_polling_when_the_job_has_ended(client, viewer):
    job = JobFactory(completed=True)
    client.force_login(viewer)

    response = client.get(f"/jobs/{job.pk}/progress/")

    html = response.content.decode()
    assert response.status_code == 286
    assert "Completed" in html
    assert "hx-trigger" not in html
    assert "data-live-job" not in html


def test_job_progress_says_that_a_queued_job_is_stopping(client, trainer):
    job = JobFactory(attempt=1, stop_requested_at="2026-01-01T00:00Z")
    client.force_login(trainer)

    html = client.get(f"/jobs/{job.pk}/progress/").content.decode()

    assert "Stopping" in html
    assert "/stop/" not in html


def test_job_progress_access(client, stranger, viewer):
    job = JobFactory(running=True)

    assert client.get(f"/jobs/{job.pk}/progress/").status_code == 302
    client.force_login(stranger)
    assert client.get(f"/jobs/{job.pk}/progress/").status_code == 404
    client.force_login(viewer)
    response = client.get(f"/jobs/{job.pk}/progress/")
    assert response.status_code == 200
    assert "/stop/" not in response.content.decode()


def test_job_progress_of_a_kind_that_is_gone_is_not_found(client, viewer):
    job = JobFactory(kind="removed.kind")
    client.force_login(viewer)

    assert client.get(f"/jobs/{job.pk}/progress/").status_code == 404
