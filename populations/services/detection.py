"""Looking at photos with a detector: start a run, and the loop of its job.

Photos are decoded, detected and cut in threads (Pillow and ONNX Runtime let go of
the interpreter); rows are written by the job's own thread, one photo a transaction.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from numpy.typing import NDArray

from finwave.jobs.exceptions import JobError
from finwave.jobs.models import Job
from finwave.jobs.services import start_job
from finwave.ml.prominence import (
    ProminenceParts,
    TierDecision,
    decide_tier,
    prominences,
)
from populations.exceptions import NothingToDetect
from populations.models import (
    Annotation,
    Detection,
    DetectionRun,
    Detector,
    Encounter,
    Photo,
    PhotoLabel,
    Population,
)
from populations.models.photos import Tier
from populations.services import crops, tiers

if TYPE_CHECKING:
    from finwave.jobs.running import JobRun
    from finwave.ml.detector import Detector as Model

logger = logging.getLogger(__name__)

# Photos whose rows are read together.
CHUNK = 200
# A box of the new run at least so alike to a box that a person decided on is that box.
SAME_BOX_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """All that a thread must know of one photo; it never asks the database."""

    photo_id: int
    name: str
    path: Path
    width_px: int
    height_px: int
    n_labels: int
    is_onboarded: bool
    is_decided: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a thread must know of the run."""

    population_id: int
    weights: Path | None  # None: the photos are crops already
    confidence: float
    nms_iou: float
    class_ids: tuple[int, ...]
    threshold: float
    margin: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a thread found on one photo, in pixels of the oriented photo."""

    task: Task
    boxes_xyxy: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 4), np.float32)
    )
    confidence: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros(0, np.float32)
    )
    class_id: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    class_names: dict[int, str] = field(default_factory=dict)
    crops: dict[int, crops.CutCrop] = field(default_factory=dict)  # by detection
    error: str = ""


def start_detection(
    *,
    population: Population,
    detector: Detector | None,
    photos: QuerySet[Photo],
    user: User | None,
    confidence: float | None = None,
    is_already_cropped: bool = False,
    class_ids: Iterable[int] = (),
) -> DetectionRun:
    """Start a run over these photos, fixed now, as a job.

    Raises:
        NothingToDetect: without a photo, or without a detector that is ready.
    """
    photo_ids = sorted(photos.values_list("pk", flat=True))
    if not photo_ids:
        raise NothingToDetect("No photo matches this choice, so nothing was started.")
    if is_already_cropped:
        detector = None
    elif detector is None or detector.status != Detector.Status.READY:
        raise NothingToDetect("Choose a detector that is ready.")
    with transaction.atomic():
        run = DetectionRun.objects.create(
            population=population,
            detector=detector,
            is_already_cropped=is_already_cropped,
            confidence=(
                population.detector_confidence if confidence is None else confidence
            ),
            nms_iou=population.nms_iou,
            class_ids=sorted(class_ids),
            photo_ids=photo_ids,
            created_by=user,
        )
        run.job = start_job(
            kind="populations.detection",
            scope_id=population.pk,
            subject_id=run.pk,
            title="Taking photos as crops" if is_already_cropped else "Detection",
            user=user,
            n_total=len(photo_ids),
        )
        run.save(update_fields=["job"])
        # Encounters that are uploaded later are looked at with the default.
        Population.objects.filter(
            pk=population.pk, default_detector__isnull=True
        ).update(default_detector=detector)
    return run


def detect_photos(run: JobRun, detection_run: DetectionRun) -> None:
    """Look at the run's photos that it has not looked at yet; the job has begun.

    Photos are done when `detection_run` says so, hence a repetition after a kill
    continues. A stop keeps what is done. Progress counts the run's photos.

    Raises:
        JobError: if the detector cannot be loaded.
    """
    waiting = waiting_photo_ids(detection_run)
    n_done = len(detection_run.photo_ids) - len(waiting)
    n_failed = failed_photos(detection_run).count()
    run.progress(n_done, n_failed=n_failed, force=True)
    population = detection_run.population
    with ThreadPoolExecutor(n_threads(run.job_id)) as pool:
        look = looker(settings_of(detection_run))
        tasks = tasks_of(population, waiting)
        for found in looked_at(pool, look, tasks, run.should_stop):
            record(detection_run, found)
            n_done += 1
            if found.error:
                n_failed += 1
                run.log(f"{found.task.name}: {found.error}", "warning")
            run.progress(n_done, n_failed=n_failed)
    run.progress(n_done, n_failed=n_failed, force=True)
    # Thresholds may have been changed, and boxes chosen, while this ran.
    tiers.retier(population, detection_run.photo_ids)
    cut_missing_of(run, detection_run, n_done)


def waiting_photo_ids(detection_run: DetectionRun) -> list[int]:
    done = set(
        Photo.objects.filter(detection_run=detection_run).values_list("pk", flat=True)
    )
    return [pk for pk in detection_run.photo_ids if pk not in done]


def failed_photos(detection_run: DetectionRun) -> QuerySet[Photo]:
    return Photo.objects.filter(
        detection_run=detection_run, tier_reason=Photo.TierReason.UNREADABLE
    )


def n_threads(job_id: int) -> int:
    """Return how many cores this job may use: those that no other job works on."""
    cores = min(settings.FINWAVE_CPU_WORKERS, os.cpu_count() or 1)
    return max(1, cores - Job.objects.active().exclude(pk=job_id).count())


def settings_of(detection_run: DetectionRun) -> Settings:
    detector = detection_run.detector
    if detector and not Path(detector.file.path).is_file():
        raise JobError(
            f"The file of the detector {detector.name} is missing from the home "
            "folder. Upload it again."
        )
    population = detection_run.population
    return Settings(
        population_id=population.pk,
        weights=Path(detector.file.path) if detector else None,
        confidence=detection_run.confidence,
        nms_iou=detection_run.nms_iou,
        class_ids=tuple(detection_run.class_ids),
        threshold=population.prominence_threshold,
        margin=population.dominance_margin,
    )


def tasks_of(population: Population, photo_ids: list[int]) -> Iterator[Task]:
    """Read the photos' rows, some hundred at a time; photos deleted since are left out."""
    for start in range(0, len(photo_ids), CHUNK):
        ids = photo_ids[start : start + CHUNK]
        labelled: dict[int, int] = {}
        for pk in PhotoLabel.objects.filter(photo__in=ids).values_list(
            "photo_id", flat=True
        ):
            labelled[pk] = labelled.get(pk, 0) + 1
        decided = set(
            Annotation.objects.filter(tiers.is_decided(), photo__in=ids).values_list(
                "photo_id", flat=True
            )
        )
        for photo in (
            population.photos.filter(pk__in=ids)
            .select_related("encounter")
            .order_by("pk")
        ):
            yield Task(
                photo_id=photo.pk,
                name=photo.original_name,
                path=Path(photo.file.path),
                width_px=photo.width_px,
                height_px=photo.height_px,
                n_labels=labelled.get(photo.pk, 0),
                is_onboarded=is_onboarded(photo),
                is_decided=photo.pk in decided,
            )


def is_onboarded(photo: Photo) -> bool:
    encounter = photo.encounter
    return bool(encounter and encounter.origin == Encounter.Origin.ONBOARDED)


def looked_at(
    pool: ThreadPoolExecutor,
    look: Callable[[Task], Found],
    tasks: Iterator[Task],
    should_stop: Callable[[], bool],
) -> Iterator[Found]:
    """Yield what the threads found, as they find it, until told to stop.

    At most two photos a thread are under way, so that memory stays small and a stop
    takes effect at once.
    """
    pending: set[Future[Found]] = set()
    limit = 2 * pool._max_workers
    stopping = False
    try:
        while True:
            while not stopping and len(pending) < limit:
                task = next(tasks, None)
                if task is None:
                    break
                pending.add(pool.submit(look, task))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            stopping = stopping or should_stop()
    finally:
        for future in pending:
            future.cancel()


def looker(run_settings: Settings) -> Callable[[Task], Found]:
    """Return what a thread does with a photo; each thread has a session of its own.

    Raises:
        JobError: if the detector cannot be loaded.
    """
    from finwave.ml.detector import DetectorError  # noqa: PLC0415 -- slow import
    from finwave.ml.images import ImageError  # noqa: PLC0415 -- slow import

    mine = threading.local()
    if run_settings.weights:
        try:
            load_model(run_settings)
        except DetectorError as error:
            raise JobError(f"The detector cannot be loaded: {error}") from error

    def look(task: Task) -> Found:
        if run_settings.weights and not hasattr(mine, "model"):
            mine.model = load_model(run_settings)
        try:
            return look_at(task, run_settings, getattr(mine, "model", None))
        except (ImageError, DetectorError, OSError) as error:
            return Found(task, error=readable(error))

    return look


def readable(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "The file is missing from the home folder."
    return str(error)


def load_model(run_settings: Settings) -> Model:
    from finwave.ml.detector import Detector as Model  # noqa: PLC0415 -- slow import

    assert run_settings.weights
    return Model(
        run_settings.weights,
        confidence=run_settings.confidence,
        nms_iou=run_settings.nms_iou,
        class_ids=run_settings.class_ids or None,
        threads=1,
    )


def look_at(task: Task, run_settings: Settings, model: Model | None) -> Found:
    """Detect on one photo and cut what the tiers keep. Runs in a thread."""
    from finwave.ml.images import open_image  # noqa: PLC0415 -- slow import

    if model is None:
        boxes = np.array([[0, 0, task.width_px, task.height_px]], np.float32)
        confidence = np.ones(1, np.float32)
        class_id, names = np.zeros(1, np.int64), {}
    else:
        detections = model.predict(task.path)
        boxes, confidence = detections.xyxy, detections.confidence
        class_id, names = detections.class_id.astype(np.int64), model.class_names
    keep = kept_indices(task, run_settings, boxes, confidence)
    cut_crops = {}
    if keep:
        image = open_image(task.path)
        cut_crops = {i: crops.cut(image, tuple(boxes[i].tolist())) for i in keep}
    return Found(task, boxes, confidence, class_id, names, cut_crops)


def kept_indices(
    task: Task,
    run_settings: Settings,
    boxes: NDArray[np.float32],
    confidence: NDArray[np.float32],
) -> list[int]:
    """Return which detections will need a crop."""
    if task.is_onboarded:
        return list(range(len(boxes)))
    if task.is_decided or not len(boxes):
        return []
    parts = prominences(
        boxes, confidence, width_px=task.width_px, height_px=task.height_px
    )
    decision = decide_tier(
        parts.prominence,
        threshold=run_settings.threshold,
        margin=run_settings.margin,
        n_labels=task.n_labels,
    )
    return [] if decision.index is None else [decision.index]


def record(detection_run: DetectionRun, found: Found) -> None:
    """Make what was found on a photo the photo's present state.

    All rows in one transaction; the crops' files after it. A kill between leaves
    annotations without a crop, which the end of the run cuts.
    """
    with transaction.atomic():
        photo = (
            Photo.objects.select_related("population", "encounter")
            .filter(pk=found.task.photo_id)
            .first()
        )
        if photo is None:
            return
        rows = write_detections(detection_run, photo, found)
        labels = list(photo.labels.select_related("individual"))
        decided = clear_undecided(photo)
        taken = tie(decided, rows)
        decision = tiers.decide_photo(
            photo.population, [row.prominence for row in rows], len(labels)
        )
        if is_onboarded(photo):
            # Nobody said who is on it: every box waits to be named.
            wanted, label = [row for row in rows if row.pk not in taken], None
            tier = decision.tier, decision.reason
        else:
            wanted = wanted_by_tier(decision, rows, decided)
            label = labels[0] if labels else None
            tier = tier_of(decision, rows, decided)
        made = write_annotations(photo, wanted, label)
        if found.error:
            tier = Tier.THREE, Photo.TierReason.UNREADABLE
        write_tier(detection_run, photo, len(rows), tier)
    for index, row in enumerate(rows):
        if row.pk in made and index in found.crops:
            crops.store_crop(made[row.pk], found.crops[index])


def write_detections(
    detection_run: DetectionRun, photo: Photo, found: Found
) -> list[Detection]:
    """Replace the photo's detections; those of earlier runs are history nobody reads."""
    if photo.detection_run_id is not None:
        photo.detections.all().delete()
    if not len(found.boxes_xyxy):
        return []
    parts: ProminenceParts = prominences(
        found.boxes_xyxy,
        found.confidence,
        width_px=found.task.width_px,
        height_px=found.task.height_px,
    )
    return Detection.objects.bulk_create(
        Detection(
            run=detection_run,
            photo=photo,
            x1=float(box[0]),
            y1=float(box[1]),
            x2=float(box[2]),
            y2=float(box[3]),
            confidence=float(found.confidence[i]),
            class_id=int(found.class_id[i]),
            class_name=found.class_names.get(int(found.class_id[i]), "")[:120],
            is_whole_photo=detection_run.is_already_cropped,
            area_part=float(parts.area[i]),
            centrality_part=float(parts.centrality[i]),
            prominence=float(parts.prominence[i]),
        )
        for i, box in enumerate(found.boxes_xyxy)
    )


def clear_undecided(photo: Photo) -> list[Annotation]:
    """Remove the photo's undecided annotations; return those that people decided on."""
    everything = set(photo.annotations.values_list("pk", flat=True))
    if not everything:
        return []
    decided = list(photo.annotations.filter(tiers.is_decided()))
    tiers.remove_annotations(sorted(everything - {a.pk for a in decided}))
    return decided


def wanted_by_tier(
    decision: TierDecision, rows: list[Detection], decided: list[Annotation]
) -> list[Detection]:
    if decided or decision.index is None:
        return []
    return [rows[decision.index]]


def tier_of(
    decision: TierDecision, rows: list[Detection], decided: list[Annotation]
) -> tuple[int, str]:
    kept = tiers.kept_of(decided)
    chosen = rows[decision.index].pk if decision.index is not None else None
    return tiers.with_people(
        decision,
        is_same_box=any(annotation.detection_id == chosen for annotation in kept),
        has_kept=bool(kept),
        has_dropped=bool(decided),
    )


def write_annotations(
    photo: Photo, wanted: list[Detection], label: PhotoLabel | None
) -> dict[int, Annotation]:
    """Make these detections annotations; return them by detection."""
    made = Annotation.objects.bulk_create(
        tiers.new_annotation(population=photo.population, detection=row, label=label)
        for row in wanted
    )
    for annotation in made:
        annotation.photo = photo
    return {row.pk: a for row, a in zip(wanted, made, strict=True)}


def tie(decided: list[Annotation], rows: list[Detection]) -> set[int]:
    """Point decided annotations at the detections of the same box; return these."""
    taken: set[int] = set()
    for annotation in decided:
        best = max(rows, key=lambda row: iou(annotation, row), default=None)
        same = best if best and iou(annotation, best) >= SAME_BOX_IOU else None
        annotation.detection = same
        annotation.save(update_fields=["detection"])
        if same:
            taken.add(same.pk)
    return taken


def iou(a: Annotation | Detection, b: Annotation | Detection) -> float:
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    union = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - shared
    return shared / union


def write_tier(
    detection_run: DetectionRun, photo: Photo, n_detections: int, tier: tuple[int, str]
) -> None:
    photo.detection_run = detection_run
    photo.n_detections = n_detections
    photo.tier, photo.tier_reason = tier
    photo.save(update_fields=["detection_run", "n_detections", "tier", "tier_reason"])


def cut_missing_of(run: JobRun, detection_run: DetectionRun, n_done: int) -> None:
    """Cut the crops that a kill or a change of thresholds left uncut."""
    missing = tiers.missing_crops(detection_run.population).filter(
        photo__detection_run=detection_run
    )
    for annotation in missing.iterator(chunk_size=CHUNK):
        crops.cut_missing([annotation])
        if run.should_stop():
            return
