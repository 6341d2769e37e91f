"""Detectors: the bundled one, uploads and their check, the default, deletion."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import RestrictedError

from finwave.jobs.exceptions import JobError
from finwave.jobs.models import Job
from finwave.jobs.services import start_job
from populations.exceptions import DetectorInUse, DetectorRefused
from populations.models import Detector, Population
from populations.services import crops

if TYPE_CHECKING:
    from finwave.jobs.running import JobRun
    from finwave.ml.onnx_check import DetectorInfo

logger = logging.getLogger(__name__)

MAX_BYTES = 300 * 1024**2
BUNDLED = Path(__file__).parents[2] / "finwave" / "ml" / "weights" / "fin-detector.onnx"


def ensure_bundled(weights: Path = BUNDLED) -> Detector | None:
    """Make the bundled detector known, once; None where the package brings none.

    A file with another content becomes another row: runs keep the one they ran with,
    and populations that had the old one as default get the new one.
    """
    if not weights.is_file():
        logger.warning("no bundled detector at %s", weights)
        return None
    sha256 = hash_of(weights)
    known = Detector.objects.filter(population=None, sha256=sha256).first()
    if known and Path(known.file.path).is_file():
        return known
    from finwave.ml.onnx_check import check_detector  # noqa: PLC0415 -- slow import

    info = check_detector(weights)
    card = read_card(weights.with_suffix(".json"))
    detector = known or Detector(population=None, sha256=sha256)
    detector.name = str(card.get("name") or "Bundled fin detector")
    detector.card = card
    detector.file.name = f"detectors/{sha256}.onnx"
    crops.write_atomically(Path(detector.file.path), weights.read_bytes())
    detector.size_bytes = weights.stat().st_size
    fill(detector, info)
    with transaction.atomic():
        detector.save()
        older = Detector.objects.filter(population=None).exclude(pk=detector.pk)
        Population.objects.filter(default_detector__in=older).update(
            default_detector=detector
        )
        older.filter(detectionrun__isnull=True).delete()
    return detector


def read_card(path: Path) -> dict[str, Any]:
    card = json.loads(path.read_text()) if path.is_file() else {}
    return card if isinstance(card, dict) else {}


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def default_for(population: Population) -> Detector | None:
    """Return the population's default detector, else the newest bundled one."""
    chosen = population.default_detector
    if chosen and chosen.status == Detector.Status.READY:
        return chosen
    return (
        Detector.objects.filter(population=None, status=Detector.Status.READY)
        .order_by("-pk")
        .first()
    )


def upload_detector(
    *, population: Population, name: str, file: UploadedFile, user: User
) -> Detector:
    """Store an uploaded model and have a worker check it.

    Raises:
        DetectorRefused: if the file is too large or is here already.
    """
    if (file.size or 0) > MAX_BYTES:
        raise DetectorRefused(
            f"This file is larger than {MAX_BYTES // 1024**2} MB, which no detector "
            "for photographs needs."
        )
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    sha256 = digest.hexdigest()
    same = Detector.objects.usable_in(population).filter(sha256=sha256).first()
    if same:
        raise DetectorRefused(f"This model is here already: {same.name}.")
    detector = Detector(
        population=population,
        name=name,
        sha256=sha256,
        size_bytes=file.size or 0,
        uploaded_by=user,
    )
    store_file(detector, file)
    with transaction.atomic():
        detector.save()
        detector.job = start_job(
            kind="populations.detector-check",
            scope_id=population.pk,
            subject_id=detector.pk,
            title=f"Checking {name}",
            user=user,
            n_total=1,
            unit="model",
        )
        detector.save(update_fields=["job"])
    return detector


def store_file(detector: Detector, file: UploadedFile) -> None:
    """Store the file by its content; another population may have stored it already."""
    name = f"detectors/{detector.sha256}.onnx"
    storage = detector.file.storage
    if storage.exists(name) and storage.size(name) == detector.size_bytes:
        detector.file.name = name
        return
    if storage.exists(name):
        storage.delete(name)
    file.seek(0)
    detector.file.save(name, File(file), save=False)


def check_uploaded(detector: Detector) -> None:
    """Check an uploaded model and write what came of it. For workers.

    Raises:
        JobError: with the sentence of the refusal.
    """
    from finwave.ml.onnx_check import (  # noqa: PLC0415 -- slow import
        DetectorError,
        check_detector,
    )

    if detector.status != Detector.Status.CHECKING:
        return
    try:
        info = check_detector(Path(detector.file.path))
    except DetectorError as error:
        refuse(detector, str(error))
        raise JobError(str(error)) from error
    fill(detector, info)
    detector.save()
    Population.objects.filter(
        pk=detector.population_id or 0, default_detector__isnull=True
    ).update(default_detector=detector)


def fill(detector: Detector, info: DetectorInfo) -> None:
    detector.status = Detector.Status.READY
    detector.refusal = ""
    detector.classes = {str(index): name for index, name in info.classes.items()}
    detector.input_width_px = info.input_width_px
    detector.input_height_px = info.input_height_px
    detector.is_dynamic = info.is_dynamic
    detector.layout = info.layout


def refuse(detector: Detector, sentence: str) -> None:
    Detector.objects.filter(pk=detector.pk, status=Detector.Status.CHECKING).update(
        status=Detector.Status.REFUSED, refusal=sentence
    )


def check_ended(job: Job) -> None:
    """Refuse a model whose check never came to a verdict (it killed its worker)."""
    detector = Detector.objects.filter(pk=job.subject_id).first()
    if detector and job.status != Job.Status.COMPLETED:
        refuse(detector, job.reason or "Its check was stopped. Upload it again.")


def set_default(*, population: Population, detector: Detector) -> None:
    """Make a detector the one that runs start with.

    Raises:
        DetectorRefused: if it is not ready.
    """
    if detector.status != Detector.Status.READY:
        raise DetectorRefused(f"{detector.name} is not ready to be used.")
    population.default_detector = detector
    population.save(update_fields=["default_detector"])


def delete_detector(*, detector: Detector) -> None:
    """Delete an uploaded detector that nothing used.

    Raises:
        DetectorInUse: if it is the bundled one or a run refers to it.
    """
    if detector.is_bundled:
        raise DetectorInUse("The bundled detector belongs to the installation.")
    try:
        detector.delete()
    except RestrictedError as error:
        raise DetectorInUse(
            f"{detector.name} was used in detection runs, which name it; it stays."
        ) from error
    if not Detector.objects.filter(sha256=detector.sha256).exists():
        crops.remove_files([detector.file.name])


def check_job(run: JobRun) -> None:
    detector = Detector.objects.filter(pk=run.subject_id).first()
    if detector is None:
        return
    run.begin(n_total=1)
    check_uploaded(detector)
    run.log(f"{detector.name} is ready: {len(detector.classes)} classes.")
    run.progress(1, force=True)
