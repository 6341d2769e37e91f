"""A population goes with everything that the apps further right hung on it."""

from __future__ import annotations

from django.apps import apps

from populations.models import Annotation, Membership, Population
from populations.services.people import delete_population
from snapshots.models import StoredObject
from tests.factories.populations import (
    DetectionFactory,
    EncounterFactory,
    MembershipFactory,
    SightingFactory,
)
from tests.factories.snapshots import (
    DeploymentFactory,
    EmbeddingFactory,
    IdentificationFactory,
    SnapshotFactory,
    SuggestionFactory,
    TrainedModelFactory,
)
from tests.factories.training import EpochMetricsFactory, TrainingJobFactory
from training.services.sets import freeze_training_set


def test_population_with_a_deployed_model_is_deleted_whole(
    population, trainer, make_crops, home, django_capture_on_commit_callbacks
):
    make_crops(2)
    annotation = Annotation.objects.first()
    DetectionFactory(photo=annotation.photo)
    training_set = freeze_training_set(
        population=population, name="Spring", user=trainer
    )
    model = TrainedModelFactory(population=population)
    snapshot = SnapshotFactory(model=model)
    TrainedModelFactory(population=population, parent_snapshot=snapshot)
    training_job = TrainingJobFactory(
        population=population,
        training_set=training_set,
        model=model,
        from_snapshot=snapshot,
        snapshot=snapshot,
    )
    EpochMetricsFactory(training_job=training_job)
    deployment = DeploymentFactory(snapshot=snapshot)
    EmbeddingFactory(deployment=deployment, annotation=annotation)
    sighting = SightingFactory(
        encounter=EncounterFactory(population=population),
        individual=annotation.individual,
    )
    SuggestionFactory(
        sighting=sighting, deployment=deployment, individual=annotation.individual
    )
    IdentificationFactory(sighting=sighting, snapshot=snapshot)
    administrator = MembershipFactory(
        population=population, role=Membership.Role.ADMINISTRATOR
    ).user

    with django_capture_on_commit_callbacks(execute=True):
        delete_population(population=population, user=administrator)

    assert not Population.objects.exists()
    for name in ("populations", "snapshots", "training"):
        for table in apps.get_app_config(name).get_models():
            if table is not StoredObject:
                assert not table._default_manager.exists(), table
    assert not list((home / "populations").glob("*"))
