from __future__ import annotations

import pytest

from finwave.jobs.models import Job
from finwave.ml.config import TrainConfig
from training.models import TrainingJob, TrainingSet

URL = "/populations/bay/training/jobs/new/"


def form_data(**changes) -> dict[str, object]:
    config = {k: v for k, v in TrainConfig().to_json().items() if v is not False}
    return {**config, "min_crops": 2, "model_name": "Fins", **changes}


def test_start_makes_set_model_and_job(client, trainer, population, make_crops):
    make_crops(2)
    client.force_login(trainer)

    response = client.post(URL, form_data(epochs=3))

    training_job = TrainingJob.objects.get()
    assert response.status_code == 302
    assert response.url == f"/populations/bay/training/jobs/{training_job.pk}/"
    assert training_job.model.name == "Fins"
    assert training_job.config["epochs"] == 3
    assert training_job.training_set.n_crops == 8
    assert training_job.created_by == trainer
    assert training_job.job.status == Job.Status.QUEUED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be from 1"),
        ({"model_name": ""}, "Give the new model a name"),
        ({"continue_model": "on"}, "Choose the snapshot to continue from"),
        ({"optimizer": "magic"}, "Select a valid choice"),
    ],
)
def test_bad_input_is_said_and_what_was_typed_is_kept(
    client, trainer, population, make_crops, changes, message
):
    make_crops(2)
    client.force_login(trainer)

    response = client.post(URL, form_data(margin=0.31, **changes))

    content = response.content.decode()
    assert response.status_code == 422
    assert message in content
    assert "0.31" in content
    assert not TrainingJob.objects.exists()


def test_too_little_data_is_refused_with_the_reason(
    client, trainer, population, make_crops
):
    make_crops(1)
    client.force_login(trainer)

    response = client.post(URL, form_data())

    assert response.status_code == 422
    assert "at least two individuals" in response.content.decode()
    assert not TrainingSet.objects.exists()


def test_preset_fills_the_form(client, trainer, population):
    client.force_login(trainer)

    form = client.get(URL, {"preset": "published"}).context["form"]

    assert form["architecture"].value() == "tf_efficientnet_b4"
    assert form["batch_size"].value() == 32


def test_snapshots_of_other_populations_cannot_be_started_from(
    client, trainer, population, make_crops
):
    make_crops(2)
    client.force_login(trainer)

    response = client.post(URL, form_data(from_snapshot=12345))

    assert response.status_code == 422


def test_viewer_may_not(client, viewer, population):
    client.force_login(viewer)

    assert client.get(URL).status_code == 403
    assert client.post(URL, form_data()).status_code == 403
    assert not TrainingJob.objects.exists()


def test_stranger_finds_nothing(client, stranger, population):
    client.force_login(stranger)

    assert client.get(URL).status_code == 404


def test_anonymous_is_asked_to_sign_in(client, trainer, population):
    assert client.get(URL).status_code == 302
