from __future__ import annotations

import pytest

from finwave.jobs.models import Job
from tests.factories.jobs import JobFactory


def test_job_list_shows_unfinished_jobs_of_the_scope(client, viewer):
    JobFactory(title="Runs", running=True, n_total=4, n_done=1)
    JobFactory(title="Waits")
    JobFactory(title="Done", completed=True)
    JobFactory(title="Elsewhere", scope_id=2)
    client.force_login(viewer)

    response = client.get("/jobs/?scope=1")

    html = response.content.decode()
    assert "Runs" in html
    assert "25 %" in html
    assert "Waits" in html
    assert "Done" not in html
    assert "Elsewhere" not in html


def test_job_list_asks_for_sign_in(client, viewer):
    response = client.get("/jobs/?scope=1")

    assert response.status_code == 302
    assert response.url.startswith("/accounts/sign-in/")


def test_job_list_is_empty_for_a_stranger(client, stranger):
    JobFactory(title="Secret")
    client.force_login(stranger)

    response = client.get("/jobs/?scope=1")

    assert response.status_code == 200
    assert "Secret" not in response.content.decode()


@pytest.mark.parametrize("query", ["", "?scope=x", "?scope=-1"])
def test_job_list_without_a_scope_is_not_found(client, viewer, query):
    client.force_login(viewer)

    assert client.get(f"/jobs/{query}").status_code == 404


@pytest.mark.parametrize("item_count", [1, 3])
def test_job_list_queries_do_not_grow(
    client, viewer, item_count, django_assert_num_queries
):
    JobFactory.create_batch(item_count)
    client.force_login(viewer)

    with django_assert_num_queries(4):
        client.get("/jobs/?scope=1")


def test_job_list_names_the_rest_by_number(client, viewer):
    JobFactory.create_batch(12)
    client.force_login(viewer)

    html = client.get("/jobs/?scope=1").content.decode()

    assert html.count("data-job-progress") == 10
    assert "and 2 more" in html
    assert Job.objects.count() == 12
