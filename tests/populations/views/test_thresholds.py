from __future__ import annotations

import pytest

from populations.models import Photo
from populations.services import tiers
from tests.factories.populations import (
    DetectionFactory,
    DetectionRunFactory,
    PhotoFactory,
)
from tests.populations.conftest import assert_access
from tests.populations.pictures import CENTRE, CORNER, add_detector, add_photo
from tests.populations.services.test_detection import detect

URL = "/populations/firth/training-data/thresholds/"


def several_boxes(team, *prominence):
    run = DetectionRunFactory(population=team.population)
    photo = PhotoFactory(
        population=team.population,
        detection_run=run,
        n_detections=len(prominence),
        tier=3,
        tier_reason="below-threshold",
    )
    for value in prominence:
        DetectionFactory(photo=photo, run=run, prominence=value)
    return photo


def test_trial_says_how_many_change_and_changes_nothing(team):
    several_boxes(team, 0.75, 0.5)
    tiers.retier(team.population)

    page = team.client("trainer").get(f"{URL}?threshold=0.8&margin=0.05")

    text = page.content.decode()
    assert "Apply: 1 photograph changes" in text
    assert "near-tile-changes" in text
    assert Photo.objects.get().tier == 2
    team.population.refresh_from_db()
    assert team.population.prominence_threshold == 0.7


def test_trial_partial_for_htmx(team):
    response = team.client("trainer").get(
        URL, headers={"HX-Request": "true", "HX-Target": "threshold-trial"}
    )

    page = response.content.decode()
    assert "<html" not in page
    assert 'id="threshold-trial"' in page
    assert "These thresholds apply now" in page


def test_trial_with_nonsense_shows_what_applies(team):
    response = team.client("trainer").get(f"{URL}?threshold=x&margin=9")

    assert response.status_code == 200


def test_viewer_may_try_but_not_apply(team):
    page = team.client("viewer").get(f"{URL}?threshold=0.8&margin=0.05")

    assert "Apply" not in page.content.decode()


def test_apply_changes_tiers_and_cuts(team):
    team.population.dominance_margin = 0.3
    team.population.save()
    photo = add_photo(team.population, CENTRE, CORNER)
    detect(team.population, add_detector(team.population))

    response = team.client("trainer").post(
        URL, {"threshold": "0.6", "margin": "0.05"}, follow=True
    )

    assert "1 photograph changed." in response.content.decode()
    photo.refresh_from_db()
    assert photo.tier == 2
    assert photo.annotations.get().crop
    team.population.refresh_from_db()
    assert team.population.prominence_threshold == 0.6
    assert team.population.dominance_margin == 0.05


def test_apply_refuses_nonsense(team):
    team.client("trainer").post(URL, {"threshold": "7", "margin": "0.05"})

    team.population.refresh_from_db()
    assert team.population.prominence_threshold == 0.7


def test_access(team):
    assert_access(team, URL, "viewer")
    assert_access(
        team,
        URL,
        "trainer",
        method="post",
        data={"threshold": "0.6", "margin": "0.05"},
        allowed=(302,),
    )


@pytest.mark.parametrize("count", [1, 3])
def test_queries(team, count, django_assert_num_queries):
    for _ in range(count):
        several_boxes(team, 0.75, 0.5)
    client = team.client("viewer")
    client.get(URL)

    with django_assert_num_queries(14):
        client.get(URL)
