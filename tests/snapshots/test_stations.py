from __future__ import annotations

import pytest

from populations import stations
from tests.factories.populations import EncounterFactory, SightingFactory
from tests.factories.snapshots import DeploymentFactory, SnapshotFactory

pytestmark = pytest.mark.django_db


def station(population, key):
    return next(s for s in stations.stations_of(population) if s.key == key)


def labels(one):
    return {figure.label: figure.value for figure in one.figures}


def test_model_station_counts_snapshots_and_names_what_is_deployed(population, model):
    snapshot = SnapshotFactory(model=model)
    SnapshotFactory()

    before = station(population, stations.MODEL)
    assert labels(before)["snapshot"] == 1
    assert "deployed" not in labels(before)

    DeploymentFactory(snapshot=snapshot)
    assert labels(station(population, stations.MODEL))["deployed"] == "Fins"


def test_encounter_station_counts_what_waits(population):
    encounter = EncounterFactory(population=population)
    SightingFactory(encounter=encounter)
    SightingFactory(encounter=encounter)
    SightingFactory()

    one = station(population, stations.ENCOUNTERS)

    assert labels(one) == {"to review": 1, "animals waiting": 2}
    assert one.step.label == "Review an encounter"
    assert one.step.url.endswith(f"/encounters/{encounter.pk}/review/")


def test_encounter_station_offers_an_upload_when_nothing_waits(population):
    assert station(population, stations.ENCOUNTERS).step.label == "Upload an encounter"
