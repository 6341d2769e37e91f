from __future__ import annotations

import pytest

from populations import stations
from populations.models import Membership, Population
from populations.stations import Contribution, Figure, Step


def first(population: Population) -> Contribution:
    return Contribution(figures=(Figure(2, "jobs"),), url="/jobs/")


def second(population: Population) -> Contribution:
    return Contribution(
        figures=(Figure(1, "snapshot"),),
        url="/models/",
        step=Step("Deploy", "/deploy/"),
    )


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(stations, "_contributors", [])
    stations.register(stations.MODEL, f"{__name__}.first")
    stations.register(stations.MODEL, f"{__name__}.second")


def test_apps_contribute_to_one_station_side_by_side(registered):
    path = stations.stations_of(Population())

    model = path[3]
    assert [station.key for station in path] == [key for key, _, _ in stations.PATH]
    assert [figure.label for figure in model.figures] == ["jobs", "snapshot"]
    assert model.url == "/jobs/"
    assert model.step == Step("Deploy", "/deploy/")
    assert path[0].is_empty


def test_registering_twice_contributes_once(registered):
    stations.register(stations.MODEL, f"{__name__}.first")

    assert len(stations.stations_of(Population())[3].figures) == 2


def test_the_next_step_is_the_first_one_and_only_for_who_may_do_it(registered):
    path = stations.stations_of(Population())

    assert stations.next_step(path, Membership.Role.TRAINER).label == "Deploy"
    assert stations.next_step(path, Membership.Role.VIEWER) is None
    assert stations.next_step([], Membership.Role.TRAINER) is None
