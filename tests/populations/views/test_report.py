from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from populations.models import Encounter
from populations.queries.report import report_of
from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    IndividualFactory,
    PhotoFactory,
)
from tests.populations.conftest import assert_access

URL = "/populations/firth/training-data/report/"
CSV = "/populations/firth/training-data/report.csv"


@pytest.fixture
def photos(team):
    """Six photos: tiers 1, 1, 2, 3 (twice), and one that nobody looked at."""
    encounter = EncounterFactory(
        population=team.population, name="=Bay", date_on=date(2023, 5, 1)
    )
    reasons = [
        (1, "single"),
        (1, "single"),
        (2, "dominant"),
        (3, "not-dominant"),
        (3, "nothing-detected"),
        (None, ""),
    ]
    return [
        PhotoFactory(
            population=team.population,
            encounter=encounter,
            tier=tier,
            tier_reason=reason,
        )
        for tier, reason in reasons
    ]


@pytest.fixture
def crops(team, photos):
    one = IndividualFactory(population=team.population, code="T1")
    IndividualFactory(population=team.population, code="T3")
    return [
        AnnotationFactory(
            photo=photos[0],
            individual=one,
            side="left",
            crop_sha256="a",
            crop_width_px=200,
            crop_height_px=20,
            sharpness=1,
        ),
        AnnotationFactory(
            photo=photos[1],
            individual=one,
            side="right",
            crop_sha256="a",
            crop_width_px=200,
            crop_height_px=200,
            sharpness=1000,
        ),
        AnnotationFactory(photo=photos[2], side="left"),
        AnnotationFactory(photo=photos[2], is_dropped=True),
        AnnotationFactory(photo=photos[2], evidence="suggested"),
    ]


def counts(lines):
    return {line.label: line.n for line in lines}


def test_report_counts(team, crops):
    report = report_of(team.population)

    assert (report.n_photos, report.n_seen) == (6, 5)
    assert counts(report.tiers) == {"Tier 1": 2, "Tier 2": 1, "Tier 3": 2}
    assert [line.share for line in report.tiers] == [0.4, 0.2, 0.4]
    assert {line.value: line.n for line in report.reasons} == {
        "not-dominant": 1,
        "nothing-detected": 1,
    }
    assert (report.n_crops, report.n_individuals) == (3, 2)
    assert counts(report.sides) == {"Left": 2, "Right": 1}
    assert counts(report.years) == {"2023": 3}
    assert counts(report.encounters) == {"=Bay": 3}
    assert {line.value: line.n for line in report.quality} == {
        "blurred": 1,
        "tiny": 1,
        "same": 1,
    }
    assert (report.thin[0].code, report.thin[0].n) == ("T3", 0)
    assert not report.is_healthy


def test_report_leaves_encounters_under_identification_out(team, photos):
    Encounter.objects.update(origin=Encounter.Origin.ONBOARDED)

    assert report_of(team.population).n_photos == 0


def test_report_orders_fixes_by_gain_and_links_to_photos(team, crops):
    report = report_of(team.population)

    gains = [fix.n for fix in report.fixes]
    assert gains == sorted(gains, reverse=True)
    assert all(gains)
    page = team.client("viewer").get(URL).content.decode()
    assert "/populations/firth/photos/?tier=3&amp;reason=not-dominant" in page
    assert "/populations/firth/detection-runs/new/" in page


def test_report_healthy_verdict(team):
    for _ in range(5):
        individual = IndividualFactory(population=team.population)
        for _ in range(5):
            photo = PhotoFactory(
                population=team.population, tier=1, tier_reason="single"
            )
            AnnotationFactory(photo=photo, individual=individual)

    report = report_of(team.population)

    assert report.is_healthy
    assert report.verdict.startswith("This is a healthy set. 100 % of the photographs")


@pytest.mark.parametrize("n_photos", [0, 1])
def test_report_of_nothing_says_so(team, n_photos):
    for _ in range(n_photos):
        PhotoFactory(population=team.population)

    page = team.client("viewer").get(URL).content.decode()

    assert ("No detector has looked" if n_photos else "no photographs yet") in page


def test_report_access(team):
    assert_access(team, URL, "viewer")
    assert_access(team, CSV, "viewer")


def test_report_csv_is_harmless_and_complete(team, crops):
    response = team.client("viewer").get(CSV)

    assert response["Content-Disposition"] == 'attachment; filename="firth-report.csv"'
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert {"section": "tier", "item": "Tier 1", "count": "2", "share": "0.4"} in rows
    assert [row["item"] for row in rows if row["section"] == "encounter"] == ["'=Bay"]


@pytest.mark.parametrize("count", [1, 3])
def test_report_queries(team, count, django_assert_num_queries):
    for _ in range(count):
        AnnotationFactory(photo=PhotoFactory(population=team.population))
    client = team.client("viewer")
    client.get(URL)

    with django_assert_num_queries(10):
        client.get(URL)
