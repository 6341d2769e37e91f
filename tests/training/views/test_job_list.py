from __future__ import annotations

import pytest
from django.test import override_settings

from finwave.jobs.services import start_job
from tests.factories.training import TrainingJobFactory

URL = "/populations/bay/training/jobs/"


def with_job(training_job):
    training_job.job = start_job(
        kind="training.identification",
        scope_id=training_job.population_id,
        subject_id=training_job.pk,
        title="Train",
    )
    training_job.save(update_fields=["job"])
    return training_job


def test_list_shows_the_jobs_of_this_population_only(client, viewer, population):
    with_job(TrainingJobFactory(population=population, model__name="Ours"))
    with_job(TrainingJobFactory(model__name="Theirs"))
    client.force_login(viewer)

    content = client.get(URL).content.decode()

    assert "Ours" in content
    assert "Theirs" not in content


def test_empty_list_says_what_to_do(client, viewer, population):
    client.force_login(viewer)

    assert "No model has been trained yet" in client.get(URL).content.decode()


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_query_count_does_not_grow(
    client, viewer, population, n_jobs, django_assert_num_queries
):
    for _ in range(n_jobs):
        with_job(TrainingJobFactory(population=population))
    client.force_login(viewer)

    with django_assert_num_queries(N_QUERIES):
        client.get(URL)


N_QUERIES = 8


def test_list_is_paged(client, viewer, population, monkeypatch):
    monkeypatch.setattr("training.views.jobs.PER_PAGE", 2)
    for _ in range(3):
        with_job(TrainingJobFactory(population=population))
    client.force_login(viewer)

    assert len(client.get(URL).context["page_obj"]) == 2
    assert len(client.get(URL, {"page": 2}).context["page_obj"]) == 1


def test_stranger_finds_nothing(client, stranger, population):
    client.force_login(stranger)

    assert client.get(URL).status_code == 404


@override_settings(LOGIN_URL="accounts:login")
def test_anonymous_is_asked_to_sign_in(client, viewer, population):
    assert client.get(URL).status_code == 302
