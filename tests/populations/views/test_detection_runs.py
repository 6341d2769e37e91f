from __future__ import annotations

import pytest

from finwave.jobs.tasks import run_job
from populations.models import DetectionRun
from tests.factories.populations import (
    DetectionRunFactory,
    DetectorFactory,
    EncounterFactory,
    ImportBatchFactory,
    PhotoFactory,
    PopulationFactory,
)
from tests.populations.conftest import assert_access
from tests.populations.pictures import CENTRE, add_detector, add_photo

LIST = "/populations/firth/detection-runs/"
NEW = "/populations/firth/detection-runs/new/"


@pytest.fixture
def detector(team):
    return DetectorFactory(population=team.population)


def start(team, model, **data):
    form = {"which": "new", "detector": model.pk, "confidence": "0.25", **data}
    return team.client("trainer").post(NEW, form)


def test_create_starts_job_over_new_photos(team, detector):
    photo = PhotoFactory(population=team.population)
    PhotoFactory(population=team.population, tier=1, tier_reason="single")
    PhotoFactory()

    response = start(team, detector)

    run = DetectionRun.objects.get()
    assert response.url == f"{LIST}{run.pk}/"
    assert run.photo_ids == [photo.pk]
    assert run.detector == detector
    assert run.confidence == 0.25
    assert run.created_by == team.trainer
    assert run.job.kind == "populations.detection"
    assert run.job.n_total == 1


@pytest.mark.parametrize("which", ["all", "import", "encounter", "failed", "ids"])
def test_create_chooses_photos(team, detector, which):
    batch = ImportBatchFactory(population=team.population)
    encounter = EncounterFactory(population=team.population)
    photos = {
        "import": PhotoFactory(population=team.population, import_batch=batch),
        "encounter": PhotoFactory(population=team.population, encounter=encounter),
        "failed": PhotoFactory(
            population=team.population, tier=3, tier_reason="unreadable"
        ),
        "ids": PhotoFactory(population=team.population),
    }
    stranger = PhotoFactory()

    start(
        team,
        detector,
        which=which,
        import_batch=batch.pk,
        encounter=encounter.pk,
        ids=f"{photos['ids'].pk},{stranger.pk}",
    )

    chosen = [photos[which]] if which in photos else photos.values()
    assert DetectionRun.objects.get().photo_ids == [photo.pk for photo in chosen]


def test_create_already_cropped_needs_no_detector(team):
    PhotoFactory(population=team.population)

    team.client("trainer").post(
        NEW, {"which": "new", "confidence": "0.15", "is_already_cropped": "on"}
    )

    run = DetectionRun.objects.get()
    assert run.is_already_cropped
    assert run.detector is None


def test_create_chooses_classes_by_name(team):
    detector = DetectorFactory(
        population=team.population, classes={"0": "bird", "7": "Seal"}
    )
    PhotoFactory(population=team.population)

    start(team, detector, classes="seal")

    assert DetectionRun.objects.get().class_ids == [7]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"detector": ""}, "Choose a detector that is ready."),
        ({"confidence": "2"}, "less than or equal to 0.99"),
        ({"which": "import"}, "Choose which one."),
        ({"which": "ids"}, "No photos were chosen."),
        ({"classes": "fin, boat"}, "has no class boat"),
        ({}, "No photo matches this choice"),
    ],
)
def test_create_refuses_with_sentence(team, detector, data, sentence):
    response = start(team, detector, **data)

    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert not DetectionRun.objects.exists()


def test_create_offers_default_and_what_a_link_chose(team, detector):
    team.population.default_detector = detector
    team.population.save()

    page = team.client("trainer").get(f"{NEW}?ids=5,6").content.decode()

    assert '<input type="hidden" name="ids" value="5,6"' in page
    assert f'<option value="{detector.pk}" selected>' in page
    assert 'value="0.15"' in page


@pytest.mark.parametrize("n_others", [0, 1])
def test_create_offers_crops_as_imported(team, detector, n_others):
    batch = ImportBatchFactory(population=team.population, is_already_cropped=True)
    PhotoFactory(population=team.population, import_batch=batch)
    PhotoFactory.create_batch(n_others, population=team.population)

    page = team.client("trainer").get(NEW)

    form = page.context["form"]
    assert form["is_already_cropped"].value() is (n_others == 0)


def test_create_access(team):
    assert_access(team, NEW, "trainer")


def test_list_shows_own_runs_only(team):
    run = DetectionRunFactory(population=team.population)
    other = DetectionRunFactory()

    page = team.client("viewer").get(LIST).content.decode()

    assert f"Run {run.pk}<" in page
    assert f"Run {other.pk}<" not in page


def test_list_access(team):
    assert_access(team, LIST, "viewer")


@pytest.mark.parametrize("count", [1, 3])
def test_list_queries(team, count, django_assert_num_queries):
    for _ in range(count):
        DetectionRunFactory(population=team.population)
    client = team.client("viewer")
    client.get(LIST)

    with django_assert_num_queries(7):
        client.get(LIST)


def test_detail_shows_progress_results_and_failures(team):
    detector = add_detector(team.population)
    add_photo(team.population, CENTRE)
    bad = add_photo(team.population, is_readable=False)
    start(team, detector)
    run = DetectionRun.objects.get()
    client = team.client("viewer")
    waiting = client.get(f"{LIST}{run.pk}/").content.decode()
    assert f'data-live-job="{run.job.pk}"' in waiting

    run_job(run.job.pk)

    page = client.get(f"{LIST}{run.pk}/").content.decode()
    assert "Could not be read" in page
    assert bad.original_name in page
    assert page.count('class="boxed-picture-box boxed-picture-kept"') == 1
    assert '<td class="bars-value">1</td>' in page


def test_detail_partial_for_htmx(team):
    run = DetectionRunFactory(population=team.population)

    response = team.client("viewer").get(
        f"{LIST}{run.pk}/", headers={"HX-Request": "true", "HX-Target": "run-results"}
    )

    page = response.content.decode()
    assert "<html" not in page
    assert 'id="run-results"' in page


def test_detail_of_other_population_is_not_found(team):
    other = DetectionRunFactory(population=PopulationFactory())

    assert team.client("viewer").get(f"{LIST}{other.pk}/").status_code == 404


def test_detail_access(team):
    run = DetectionRunFactory(population=team.population)

    assert_access(team, f"{LIST}{run.pk}/", "viewer")
