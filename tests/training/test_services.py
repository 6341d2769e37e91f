from __future__ import annotations

import pytest

from finwave.home import home
from finwave.jobs.models import Job
from finwave.ml.config import TrainConfig
from populations.models import Annotation
from tests.factories.populations import IndividualFactory
from tests.factories.training import (
    IdentificationModelFactory,
    TrainingJobFactory,
    TrainingSetFactory,
)
from training.exceptions import TrainingRefused
from training.models import TrainingJob, TrainingSet
from training.services.jobs import start_training_job
from training.services.sets import fingerprint, freeze_training_set, set_for_job


def test_freeze_writes_each_trusted_crop_down(population, trainer, make_crops):
    make_crops(2)

    training_set = freeze_training_set(
        population=population, name="Spring", user=trainer
    )

    assert training_set.n_crops == 8
    assert training_set.n_individuals == 2
    assert training_set.n_encounters == 2
    for item in training_set.items.all():
        assert (home() / item.crop).is_file()


def test_freeze_orders_by_content_not_by_arrival(population, trainer, make_crops):
    make_crops(3)

    training_set = freeze_training_set(
        population=population, name="Spring", user=trainer
    )

    rows = list(training_set.items.values_list("individual_code", "crop_sha256"))
    assert rows == sorted(rows)
    by_arrival = training_set.items.order_by("annotation").values_list("crop_sha256")
    assert [row[1] for row in rows] != [sha for (sha,) in by_arrival]


def test_freeze_leaves_out_what_nobody_stands_for(population, trainer, make_crops):
    make_crops(3)
    dropped, suggested, thin = Annotation.objects.order_by("pk")[:3]
    Annotation.objects.filter(pk=dropped.pk).update(is_dropped=True)
    Annotation.objects.filter(pk=suggested.pk).update(evidence="suggested")
    Annotation.objects.filter(pk=thin.pk).update(
        individual=IndividualFactory(population=population)
    )

    training_set = freeze_training_set(
        population=population, name="Spring", user=trainer
    )

    left = set(training_set.items.values_list("annotation_id", flat=True))
    assert left.isdisjoint({dropped.pk, suggested.pk, thin.pk})


def test_frozen_set_survives_relabelling_and_deletion_of_the_crop(
    population, trainer, make_crops
):
    make_crops(2)
    training_set = freeze_training_set(
        population=population, name="Spring", user=trainer
    )
    item = training_set.items.get(annotation=Annotation.objects.first())
    before = (home() / item.crop).read_bytes()

    annotation = Annotation.objects.first()
    annotation.crop.delete(save=False)
    annotation.delete()

    item.refresh_from_db()
    assert item.annotation is None
    assert (home() / item.crop).read_bytes() == before


def test_freeze_with_one_individual_is_refused(population, trainer, make_crops):
    make_crops(1)

    with pytest.raises(TrainingRefused, match="at least two individuals"):
        freeze_training_set(population=population, name="Spring", user=trainer)

    assert not TrainingSet.objects.exists()


def test_fingerprint_ignores_the_order():
    assert fingerprint([("a", "T1"), ("b", "T2")]) == fingerprint(
        [("b", "T2"), ("a", "T1")]
    )
    assert fingerprint([("a", "T1")]) != fingerprint([("a", "T2")])


def test_set_for_job_takes_an_equal_set_again(population, trainer, make_crops):
    make_crops(2)

    first = set_for_job(
        population=population, training_set=None, min_crops=2, user=trainer
    )
    second = set_for_job(
        population=population, training_set=None, min_crops=2, user=trainer
    )

    assert first == second


def test_set_for_job_makes_another_when_a_label_changed(
    population, trainer, make_crops
):
    make_crops(3)
    first = set_for_job(
        population=population, training_set=None, min_crops=2, user=trainer
    )
    annotation = Annotation.objects.first()
    annotation.is_dropped = True
    annotation.save(update_fields=["is_dropped"])

    second = set_for_job(
        population=population, training_set=None, min_crops=2, user=trainer
    )

    assert second.n_crops == first.n_crops - 1
    assert second.name != first.name


def start(population, trainer, **changes) -> TrainingJob:
    return start_training_job(
        **{
            "population": population,
            "training_set": TrainingSetFactory(population=population),
            "config": TrainConfig(architecture="test_efficientnet"),
            "user": trainer,
            "model_name": "Fins",
            **changes,
        }
    )


def test_start_queues_a_job_for_a_new_model(population, trainer):
    training_job = start(population, trainer)

    assert training_job.model.name == "Fins"
    assert training_job.job.status == Job.Status.QUEUED
    assert training_job.job.queue == "train"
    assert training_job.job.subject_id == training_job.pk


def test_start_with_a_taken_name_is_refused(population, trainer):
    IdentificationModelFactory(population=population, name="Fins")

    with pytest.raises(TrainingRefused, match="model named Fins"):
        start(population, trainer)

    assert not TrainingJob.objects.exists()
    assert not Job.objects.exists()


def test_start_without_a_name_is_refused(population, trainer):
    with pytest.raises(TrainingRefused, match="name"):
        start(population, trainer, model_name="")


def test_unfinished_job_of_another_model_does_not_matter(population, trainer):
    TrainingJobFactory(population=population)

    assert start(population, trainer).pk
