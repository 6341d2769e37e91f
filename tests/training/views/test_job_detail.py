from __future__ import annotations

import json

import pytest

from finwave.jobs.services import append_event
from tests.factories.populations import PopulationFactory
from tests.factories.training import EpochMetricsFactory, TrainingJobFactory
from tests.training.views.test_job_list import with_job


@pytest.fixture
def training_job(population):
    return with_job(TrainingJobFactory(population=population, model__name="Fins"))


@pytest.fixture
def url(training_job) -> str:
    return f"/populations/bay/training/jobs/{training_job.pk}/"


def test_page_carries_the_curves_and_the_cursor(client, viewer, training_job, url):
    EpochMetricsFactory(training_job=training_job, epoch=1, train_loss=9.0)
    EpochMetricsFactory(training_job=training_job, epoch=2, train_loss=7.5)
    seq = append_event(training_job.job.pk, "log", {"level": "info", "message": "Hm"})
    client.force_login(viewer)

    response = client.get(url)

    content = response.content.decode()
    monitor = response.context["monitor"]
    assert "<html" in content
    assert f'data-live-after="{seq}"' in content
    assert [point["train_loss"] for point in monitor.chart_points()] == [9.0, 7.5]
    assert json.dumps(7.5) in content
    assert "Too early to say" in content


def test_htmx_request_gets_the_reading_only(client, viewer, training_job, url):
    client.force_login(viewer)

    content = client.get(
        url, headers={"HX-Request": "true", "HX-Target": "monitor-reading"}
    ).content.decode()

    assert "<html" not in content
    assert 'id="monitor-reading"' in content


def test_log_is_escaped(client, viewer, training_job, url):
    append_event(
        training_job.job.pk, "log", {"level": "info", "message": "<script>x</script>"}
    )
    client.force_login(viewer)

    assert "<script>x" not in client.get(url).content.decode()


def test_job_of_another_population_is_not_found(client, viewer, training_job, url):
    other = with_job(TrainingJobFactory(population=PopulationFactory()))
    client.force_login(viewer)

    response = client.get(f"/populations/bay/training/jobs/{other.pk}/")

    assert response.status_code == 404


@pytest.mark.parametrize("path", ["", "metrics.csv"])
def test_stranger_finds_nothing(client, stranger, url, path):
    client.force_login(stranger)

    assert client.get(url + path).status_code == 404


@pytest.mark.parametrize("path", ["", "metrics.csv"])
def test_anonymous_is_asked_to_sign_in(client, viewer, url, path):
    assert client.get(url + path).status_code == 302


def test_figures_are_downloaded_as_csv(client, viewer, training_job, url):
    EpochMetricsFactory(training_job=training_job, epoch=1, train_loss=9.0)
    client.force_login(viewer)

    lines = client.get(url + "metrics.csv").content.decode().splitlines()

    assert lines[0].startswith("epoch,train_loss,val_loss,top1")
    assert lines[1].startswith("1,9.0,6.0,0.5")
