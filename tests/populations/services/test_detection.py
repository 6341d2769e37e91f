from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from finwave.home import home
from finwave.jobs.models import Event, Job
from finwave.jobs.services import stop_job
from finwave.jobs.tasks import run_job
from populations.exceptions import NothingToDetect
from populations.models import Annotation, Detection, Encounter, Photo
from populations.services import decisions, detection, tiers
from tests.factories.accounts import UserFactory
from tests.factories.populations import (
    EncounterFactory,
    IndividualFactory,
    PopulationFactory,
)
from tests.populations.pictures import (
    CENTRE,
    CORNER,
    DIM_CORNER,
    OTHER_CENTRE,
    OTHER_DIM_CORNER,
    add_detector,
    add_photo,
)

pytestmark = pytest.mark.django_db


def detect(population, detector=None, photos=None, **settings):
    run = detection.start_detection(
        population=population,
        detector=detector,
        photos=population.photos.all() if photos is None else photos,
        user=None,
        **settings,
    )
    run_job(run.job.pk)
    run.refresh_from_db()
    return run


@pytest.fixture
def population():
    return PopulationFactory()


@pytest.fixture
def detector(population):
    return add_detector(population)


@pytest.mark.parametrize(
    ("squares", "n_labels", "tier", "reason"),
    [
        ((), 1, 3, "nothing-detected"),
        ((CENTRE,), 1, 1, "single"),
        ((DIM_CORNER,), 1, 1, "single"),
        ((CENTRE,), 0, 1, "single"),
        ((CENTRE,), 2, 3, "several-labels"),
        ((CENTRE, CORNER), 1, 2, "dominant"),
        ((CENTRE, OTHER_CENTRE), 1, 3, "not-dominant"),
        ((DIM_CORNER, OTHER_DIM_CORNER), 1, 3, "below-threshold"),
        ((CENTRE, CORNER), 2, 3, "several-labels"),
        ((), 2, 3, "nothing-detected"),
    ],
)
def test_detection_gives_tier(population, detector, squares, n_labels, tier, reason):
    individuals = tuple(
        IndividualFactory(population=population) for _ in range(n_labels)
    )
    photo = add_photo(population, *squares, individuals=individuals)

    run = detect(population, detector)

    photo.refresh_from_db()
    assert (photo.tier, photo.tier_reason) == (tier, reason)
    assert photo.n_detections == len(squares)
    assert photo.detection_run == run
    assert photo.annotations.count() == (tier < 3)
    assert run.job.status == Job.Status.COMPLETED


def test_detection_writes_parts_annotation_and_crop(population, detector):
    individual = IndividualFactory(population=population, code="T1/a b")
    photo = add_photo(population, CENTRE, CORNER, individuals=(individual,))

    detect(population, detector)

    top, other = photo.detections.order_by("-prominence")
    assert (top.x1, top.y1, top.x2, top.y2) == pytest.approx((160, 160, 320, 320))
    assert (top.area_part, other.area_part) == pytest.approx((1, 1))
    # The centres lie 1/4 and 3/4 of half the diagonal away.
    assert (top.centrality_part, other.centrality_part) == pytest.approx((0.75, 0.25))
    assert top.prominence == pytest.approx(0.4 + 0.3 * 0.75 + 0.3 * top.confidence)
    annotation = photo.annotations.get()
    assert annotation.detection == top
    assert annotation.individual == individual
    assert annotation.side == "left"
    assert annotation.evidence == Annotation.Evidence.ATTESTED
    assert annotation.category == "dorsal fin"
    assert annotation.crop.name == (
        f"populations/{population.pk}/training-data/T1_a_b/"
        f"{annotation.pk}-{annotation.crop_sha256[:8]}.jpg"
    )
    assert (home() / annotation.crop.name).is_file()
    # 160 pixels and 5 % on each side.
    assert (annotation.crop_width_px, annotation.crop_height_px) == (176, 176)
    assert annotation.sharpness > 0


def test_detection_already_cropped_takes_whole_photo(population):
    individual = IndividualFactory(population=population)
    photo = add_photo(population, individuals=(individual,))

    run = detect(population, is_already_cropped=True)

    photo.refresh_from_db()
    box = photo.detections.get()
    assert box.is_whole_photo
    assert (box.x1, box.y1, box.x2, box.y2) == (0, 0, 640, 640)
    assert (box.confidence, box.prominence) == (1, 1)
    assert (photo.tier, photo.tier_reason) == (1, "single")
    assert photo.annotations.get().crop_width_px == 640
    assert run.detector is None


def test_detection_unreadable_photo_does_not_stop_run(population, detector):
    bad = add_photo(population, CENTRE, is_readable=False)
    gone = add_photo(population, CENTRE)
    Path(gone.file.path).unlink()
    good = add_photo(population, CENTRE)

    run = detect(population, detector)

    for photo in (bad, gone, good):
        photo.refresh_from_db()
    assert (bad.tier, bad.tier_reason) == (3, "unreadable")
    assert (gone.tier, gone.tier_reason) == (3, "unreadable")
    assert good.tier == 1
    assert run.job.status == Job.Status.COMPLETED
    assert (run.job.n_done, run.job.n_failed) == (3, 2)
    lines = Event.objects.filter(job=run.job, kind="log")
    assert sum(bad.original_name in line.data["message"] for line in lines) == 1


def test_detection_onboarded_encounter_annotates_every_box(population, detector):
    encounter = EncounterFactory(
        population=population, origin=Encounter.Origin.ONBOARDED
    )
    photo = add_photo(population, CENTRE, OTHER_CENTRE, encounter=encounter)

    detect(population, detector)

    annotations = list(photo.annotations.all())
    assert len(annotations) == 2
    assert {a.individual for a in annotations} == {None}
    assert {a.evidence for a in annotations} == {Annotation.Evidence.NONE}
    assert all("/_unidentified/" in a.crop.name for a in annotations)


@pytest.mark.django_db(transaction=True)
def test_detection_again_replaces_detections_and_files(population, detector):
    photo = add_photo(population, CENTRE)
    first = detect(population, detector)
    before = photo.annotations.get()
    path = home() / before.crop.name

    second = detect(population, detector)

    assert photo.detections.count() == 1
    assert photo.detections.get().run == second
    assert not first.detections.exists()
    assert photo.annotations.get().pk != before.pk
    assert not path.exists()


def test_detection_again_keeps_human_decisions(population, detector):
    one, two = IndividualFactory.create_batch(2, population=population)
    user = UserFactory()
    chosen = add_photo(population, CENTRE, OTHER_CENTRE, individuals=(one,))
    dropped = add_photo(population, CENTRE, individuals=(one,))
    relabelled = add_photo(population, CENTRE, individuals=(one,))
    detect(population, detector)
    chosen.refresh_from_db()
    box = chosen.detections.order_by("x1")[1]
    decisions.choose_box(photo=chosen, detection=box, user=user)
    decisions.drop_crop(annotation=dropped.annotations.get(), user=user)
    decisions.relabel_crop(
        annotation=relabelled.annotations.get(),
        individual=two,
        side="right",
        user=user,
    )

    detect(population, detector)

    for photo in (chosen, dropped, relabelled):
        photo.refresh_from_db()
        assert photo.annotations.count() == 1
    assert (chosen.tier, chosen.tier_reason) == (2, "rescued")
    kept = chosen.annotations.get()
    assert kept.x1 == pytest.approx(320)
    assert kept.detection == chosen.detections.order_by("x1")[1]
    assert (dropped.tier, dropped.tier_reason) == (3, "dropped")
    assert dropped.annotations.get().is_dropped
    assert (relabelled.tier, relabelled.tier_reason) == (1, "single")
    assert relabelled.annotations.get().individual == two


def test_detection_stop_keeps_what_is_done_and_goes_on(population, detector):
    for _ in range(6):
        add_photo(population, CENTRE)
    run = detection.start_detection(
        population=population,
        detector=detector,
        photos=population.photos.all(),
        user=None,
    )
    Job.objects.filter(pk=run.job.pk).update(attempt=1)
    stop_job(run.job)

    run_job(run.job.pk)

    run.job.refresh_from_db()
    assert run.job.status == Job.Status.STOPPED
    n_done = Photo.objects.filter(detection_run=run).count()
    assert 0 < n_done < 6
    assert run.job.n_done == n_done
    assert Annotation.objects.filter(crop="").count() == 0


def test_detection_delivered_twice_does_nothing(population, detector):
    photo = add_photo(population, CENTRE)
    run = detect(population, detector)
    before = photo.annotations.get()

    run_job(run.job.pk)

    assert photo.annotations.get() == before
    assert Detection.objects.count() == 1


def test_detection_without_photos_or_detector_is_refused(population, detector):
    with pytest.raises(NothingToDetect):
        detect(population, detector)
    add_photo(population, CENTRE)
    with pytest.raises(NothingToDetect):
        detect(population, None)


def test_detection_missing_file_of_detector_fails_with_sentence(population, detector):
    add_photo(population, CENTRE)
    Path(detector.file.path).unlink()

    run = detect(population, detector)

    assert run.job.status == Job.Status.FAILED
    assert "Upload it again" in run.job.reason


def test_detection_only_chosen_class(population, detector):
    photo = add_photo(population, CENTRE)

    detect(population, detector, class_ids=[1])

    photo.refresh_from_db()
    assert photo.tier_reason == "nothing-detected"


def test_detection_crop_left_out_by_a_kill_is_cut_at_the_end(population, detector):
    photo = add_photo(population, CENTRE)
    run = detect(population, detector)
    Annotation.objects.update(crop="", crop_sha256="")
    # As after a kill between the rows' commit and the crop's: the job is run again.
    Job.objects.filter(pk=run.job.pk).update(status=Job.Status.QUEUED, finished_at=None)

    run_job(run.job.pk)

    assert photo.annotations.get().crop.storage.exists(
        photo.annotations.get().crop.name
    )


KILLED = """
import os, django
django.setup()
from finwave.jobs.tasks import run_job
from populations.services import detection
record = detection.record
n = 0
def record_some(*args):
    global n
    n += 1
    if n == 4:
        # Half of the photo's work: the rows are there, the crop is not.
        detection.crops.store_crop = lambda *a: os.kill(os.getpid(), 9)
    record(*args)
detection.record = record_some
run_job({job})
"""


@pytest.mark.kills
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_detection_killed_in_the_middle_resumes_without_doubles():
    population = PopulationFactory()
    detector = add_detector(population)
    for _ in range(9):
        add_photo(population, CENTRE, CORNER)
    run = detection.start_detection(
        population=population,
        detector=detector,
        photos=population.photos.all(),
        user=None,
    )
    from django.conf import settings
    from django.db import connection

    script = textwrap.dedent(KILLED).format(job=run.job.pk)
    settings_line = (
        "from django.conf import settings; settings.DATABASES['default']['NAME'] = "
        f"{str(connection.settings_dict['NAME'])!r}\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", settings_line + script],
        env={
            **os.environ,
            "FINWAVE_HOME": str(settings.FINWAVE_HOME),
            "DJANGO_SETTINGS_MODULE": "finwave.settings",
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert Photo.objects.filter(detection_run=run).count() == 4
    assert Annotation.objects.filter(crop="").count() == 1
    first = dict(Detection.objects.values_list("pk", "photo_id"))
    Job.objects.filter(pk=run.job.pk).update(
        status=Job.Status.QUEUED, lease_token="", lease_owner=""
    )

    run_job(run.job.pk)

    run.job.refresh_from_db()
    assert run.job.status == Job.Status.COMPLETED
    assert run.job.n_done == 9
    assert Detection.objects.count() == 18
    assert Annotation.objects.count() == 9
    assert not Annotation.objects.filter(crop="").exists()
    # What was done before the kill was not done again.
    after = dict(Detection.objects.values_list("pk", "photo_id"))
    assert first.items() <= after.items()
    files = [p for p in home().rglob("training-data/**/*") if p.is_file()]
    assert len(files) == 9


@pytest.mark.slow
def test_detection_of_seals_gives_known_counts(real_data):
    """Photos with 0, 1, 2 and more boxes: 11, 62, 16, 18 by the detector's own count."""
    import shutil

    from PIL import Image

    from finwave.ml.detector import Detector as Model
    from tests.factories.populations import DetectorFactory, PhotoFactory

    population = PopulationFactory(categories=["body"])
    weights = home() / "detectors" / "yolov8n.onnx"
    weights.parent.mkdir()
    shutil.copy(real_data / "weights" / "yolov8n.onnx", weights)
    detector = DetectorFactory(population=population, file="detectors/yolov8n.onnx")
    paths = sorted((real_data / "seals").rglob("*.jpg"))
    assert len(paths) == 107
    for path in paths:
        with Image.open(path) as image:
            width, height = image.size
        name = f"populations/{population.pk}/photos/{path.name}"
        (home() / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, home() / name)
        PhotoFactory(population=population, file=name, width_px=width, height_px=height)
    independent = Model(weights, confidence=0.15, nms_iou=0.5)
    counts = [len(independent.predict(path)) for path in paths]

    detect(population, detector)

    photos = population.photos
    assert photos.filter(n_detections=0).count() == counts.count(0)
    assert photos.filter(n_detections=1).count() == counts.count(1)
    several = sum(count > 1 for count in counts)
    assert photos.filter(n_detections__gt=1).count() == several
    assert counts.count(0) == pytest.approx(14, abs=4)
    assert counts.count(1) == pytest.approx(58, abs=5)
    assert several == pytest.approx(35, abs=4)
    assert photos.filter(tier=1).count() == counts.count(1)
    kept = Annotation.objects.for_population(population)
    assert kept.count() == photos.filter(tier__lt=3).count()
    assert not kept.filter(crop="").exists()
    assert tiers.retier(population).n_changed == 0
