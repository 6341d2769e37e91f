from __future__ import annotations

import random
import time

import pytest

from finwave.jobs.models import Job
from finwave.jobs.tasks import run_job
from finwave.ml.prominence import decide_tier
from populations.models import (
    Annotation,
    Detection,
    DetectionRun,
    Encounter,
    Photo,
    PhotoLabel,
)
from populations.queries.thresholds import trial_of
from populations.services import decisions, tiers
from tests.factories.accounts import UserFactory
from tests.factories.populations import (
    DetectionFactory,
    DetectionRunFactory,
    EncounterFactory,
    IndividualFactory,
    PhotoFactory,
    PhotoLabelFactory,
    PopulationFactory,
)
from tests.populations.pictures import (
    CENTRE,
    CORNER,
    OTHER_CENTRE,
    add_detector,
    add_photo,
)
from tests.populations.services.test_detection import detect

pytestmark = pytest.mark.django_db


@pytest.fixture
def population():
    return PopulationFactory()


@pytest.fixture
def run(population):
    return DetectionRunFactory(population=population)


def looked_at(run, *prominence, n_labels=1, encounter=None):
    """A photo with these detections and the tier of the population's thresholds."""
    population = run.population
    photo = PhotoFactory(
        population=population,
        encounter=encounter,
        detection_run=run,
        n_detections=len(prominence),
        tier=3,
        tier_reason="nothing-detected",
    )
    for value in prominence:
        DetectionFactory(photo=photo, run=run, prominence=value)
    for _ in range(n_labels):
        PhotoLabelFactory(photo=photo)
    return photo


def state(population):
    return [
        *Photo.objects.order_by("pk").values_list("pk", "tier", "tier_reason"),
        *Annotation.objects.order_by("photo_id").values_list(
            "photo_id", "detection_id", "individual_id"
        ),
    ]


def test_retier_equals_decision_photo_by_photo(population, run):
    rng = random.Random(3)
    for _ in range(60):
        looked_at(
            run,
            *(round(rng.uniform(0.5, 1), 2) for _ in range(rng.randrange(5))),
            n_labels=rng.choice([0, 1, 1, 1, 2]),
        )

    tiers.retier(population)

    for photo in population.photos.all():
        boxes = list(photo.detections.order_by("pk"))
        decision = decide_tier(
            [box.prominence for box in boxes],
            threshold=0.7,
            margin=0.05,
            n_labels=photo.labels.count(),
        )
        assert (photo.tier, photo.tier_reason) == (decision.tier, decision.reason)
        kept = [] if decision.index is None else [boxes[decision.index]]
        assert [a.detection for a in photo.annotations.all()] == kept


def test_retier_twice_changes_nothing(population, run):
    looked_at(run, 0.9)
    looked_at(run, 0.9, 0.6)
    looked_at(run, 0.6, 0.5)
    tiers.retier(population)
    before = state(population)
    pks = set(Annotation.objects.values_list("pk", flat=True))

    again = tiers.retier(population)

    assert again.n_changed == 0
    assert state(population) == before
    assert set(Annotation.objects.values_list("pk", flat=True)) == pks


def test_retier_ignores_detections_of_older_runs(population, run):
    photo = looked_at(run, 0.9)
    DetectionFactory(photo=photo, run=DetectionRunFactory(population=population))

    tiers.retier(population)

    photo.refresh_from_db()
    assert photo.tier_reason == "single"


def test_retier_leaves_unreadable_unseen_and_onboarded_photos(population, run):
    unreadable = PhotoFactory(
        population=population, detection_run=run, tier=3, tier_reason="unreadable"
    )
    unseen = PhotoFactory(population=population)
    onboarded = looked_at(
        run,
        0.9,
        encounter=EncounterFactory(
            population=population, origin=Encounter.Origin.ONBOARDED
        ),
    )

    tiers.retier(population)

    for photo in (unreadable, unseen, onboarded):
        photo.refresh_from_db()
    assert unreadable.tier_reason == "unreadable"
    assert unseen.tier is None
    assert onboarded.tier_reason == "nothing-detected"
    assert not Annotation.objects.exists()


def test_retier_leaves_other_populations(population, run):
    other = looked_at(DetectionRunFactory(), 0.9)

    tiers.retier(population)

    other.refresh_from_db()
    assert other.tier_reason == "nothing-detected"


def test_retier_follows_changed_label(population, run):
    photo = looked_at(run, 0.9)
    tiers.retier(population)
    other = IndividualFactory(population=population)
    PhotoLabel.objects.update(individual=other)

    tiers.retier(population, [photo.pk])

    assert photo.annotations.get().individual == other


def test_set_thresholds_moves_photos_and_cuts_at_once(population):
    detector = add_detector(population)
    # Tops 0.925 and 0.775, half as far apart as the margin that is set below.
    photo = add_photo(population, CENTRE, CORNER)
    detect(population, detector)
    user = UserFactory()

    done = tiers.set_thresholds(
        population=population, threshold=0.7, margin=0.3, user=user
    )

    photo.refresh_from_db()
    assert done.n_changed == 1
    assert (photo.tier, photo.tier_reason) == (3, "not-dominant")
    assert not photo.annotations.exists()

    tiers.set_thresholds(population=population, threshold=0.7, margin=0.05, user=user)

    photo.refresh_from_db()
    assert photo.tier == 2
    assert photo.annotations.get().crop


def test_set_thresholds_cuts_many_crops_in_a_job(population, monkeypatch):
    detector = add_detector(population)
    photos = [add_photo(population, CENTRE, CORNER) for _ in range(3)]
    population.dominance_margin = 0.3
    population.save()
    detect(population, detector)
    assert not Annotation.objects.exists()
    monkeypatch.setattr(tiers, "CUT_AT_ONCE", 2)

    done = tiers.set_thresholds(
        population=population, threshold=0.7, margin=0.05, user=UserFactory()
    )

    assert done.n_missing == 3
    job = Job.objects.get(kind="populations.retier")
    assert Annotation.objects.filter(crop="").count() == 3
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.status, job.n_done) == (Job.Status.COMPLETED, 3)
    assert all(photo.annotations.get().crop for photo in photos)


def test_trial_counts_as_set_thresholds_does(population, run):
    rng = random.Random(7)
    for _ in range(40):
        looked_at(run, *(rng.uniform(0.5, 1) for _ in range(rng.randrange(1, 4))))
    tiers.retier(population)
    before = dict(Photo.objects.values_list("pk", "tier"))

    trial = trial_of(population, threshold=0.9, margin=0.02)
    population.prominence_threshold, population.dominance_margin = 0.9, 0.02
    population.save()
    tiers.retier(population)

    after = dict(Photo.objects.values_list("pk", "tier"))
    assert [line.n for line in trial.tiers] == [
        sum(tier == number for tier in after.values()) for number in (1, 2, 3)
    ]
    assert trial.n_changed == sum(before[pk] != after[pk] for pk in before)
    assert 0 < trial.n_changed < 40


def test_trial_shows_nearest_first_and_marks_changes(population, run):
    near = looked_at(run, 0.72, 0.5)
    far = looked_at(run, 0.99, 0.5)
    looked_at(run, 0.9)
    looked_at(run, 0.72, 0.5, n_labels=2)
    tiers.retier(population)

    trial = trial_of(population, threshold=0.75, margin=0.05)

    assert [(n.photo, n.changes) for n in trial.nearest] == [(near, True), (far, False)]
    assert trial.n_several == 2


def test_human_decisions_survive_any_threshold(population):
    detector = add_detector(population)
    individual = IndividualFactory(population=population)
    user = UserFactory()
    rescued = add_photo(population, CENTRE, OTHER_CENTRE, individuals=(individual,))
    dropped = add_photo(population, CENTRE, CORNER, individuals=(individual,))
    detect(population, detector)
    rescued.refresh_from_db()
    decisions.choose_box(photo=rescued, detection=rescued.detections.first(), user=user)
    decisions.drop_crop(annotation=dropped.annotations.get(), user=user)

    for threshold, margin in ((0.99, 0.5), (0.0, 0.0), (0.7, 0.05)):
        tiers.set_thresholds(
            population=population, threshold=threshold, margin=margin, user=user
        )

        for photo in (rescued, dropped):
            photo.refresh_from_db()
        assert rescued.tier == 2
        assert not rescued.annotations.get().is_dropped
        assert (dropped.tier, dropped.tier_reason) == (3, "dropped")
        assert dropped.annotations.get().is_dropped


@pytest.mark.slow
def test_trial_and_retier_of_twenty_thousand_photos(population):
    run = DetectionRunFactory(population=population)
    rng = random.Random(1)
    photos = Photo.objects.bulk_create(
        Photo(
            population=population,
            sha256=f"{n:064d}",
            original_name=f"{n}.jpg",
            file=f"{n}.jpg",
            width_px=640,
            height_px=480,
            size_bytes=1,
            detection_run=run,
            tier=3,
            tier_reason="nothing-detected",
        )
        for n in range(20_000)
    )
    Detection.objects.bulk_create(
        Detection(
            run=run,
            photo=photo,
            x1=0,
            y1=0,
            x2=1,
            y2=1,
            confidence=0.5,
            area_part=1,
            centrality_part=1,
            prominence=rng.uniform(0.5, 1),
        )
        for photo in photos
        for _ in range(rng.randrange(4))
    )
    trial_of(population, threshold=0.7, margin=0.05)

    start = time.process_time()
    trial = trial_of(population, threshold=0.8, margin=0.05)
    counting_s = time.process_time() - start

    assert trial.n_photos == 20_000
    assert counting_s < 1
    start = time.process_time()
    done = tiers.retier(population)
    print(
        f"counting {counting_s:.2f} s, re-tiering {time.process_time() - start:.2f} s"
    )
    assert done.n_changed > 10_000
    assert DetectionRun.objects.count() == 1
