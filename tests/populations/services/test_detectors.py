from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from finwave.home import home
from finwave.jobs.models import Job
from finwave.jobs.services import finish
from finwave.jobs.tasks import run_job
from populations.exceptions import DetectorInUse, DetectorRefused
from populations.models import Detector
from populations.services import detectors
from tests.factories.accounts import UserFactory
from tests.factories.populations import (
    DetectionRunFactory,
    DetectorFactory,
    PopulationFactory,
)
from tests.finwave.ml.onnx_models import colour_detector, constant_detector, write

pytestmark = pytest.mark.django_db


def upload(population, content, name="fins.onnx"):
    return detectors.upload_detector(
        population=population,
        name="Fins",
        file=SimpleUploadedFile(name, content),
        user=UserFactory(),
    )


def test_upload_is_checked_and_ready():
    population = PopulationFactory()
    content = colour_detector().SerializeToString()

    detector = upload(population, content)

    assert detector.status == Detector.Status.CHECKING
    run_job(detector.job.pk)
    detector.refresh_from_db()
    assert detector.status == Detector.Status.READY
    assert detector.classes == {"0": "red", "1": "green"}
    assert (detector.input_width_px, detector.input_height_px) == (128, 128)
    assert detector.layout == "yolov8"
    assert Path(detector.file.path).read_bytes() == content
    population.refresh_from_db()
    assert population.default_detector == detector


@pytest.mark.parametrize(
    "content",
    [
        b"not a model at all",
        colour_detector().SerializeToString()[:2000],
        constant_detector(np.zeros((1, 3, 7))).SerializeToString(),
    ],
)
def test_upload_of_unusable_model_is_refused_with_sentence(content):
    detector = upload(PopulationFactory(), content)

    run_job(detector.job.pk)

    detector.refresh_from_db()
    assert detector.status == Detector.Status.REFUSED
    assert detector.refusal.endswith(".")
    detector.job.refresh_from_db()
    assert detector.job.status == Job.Status.FAILED
    assert detector.job.reason == detector.refusal


def test_upload_twice_is_refused():
    population = PopulationFactory()
    content = colour_detector().SerializeToString()
    upload(population, content)

    with pytest.raises(DetectorRefused, match="Fins"):
        upload(population, content)

    # Another population may have the same model, and shares the file.
    upload(PopulationFactory(), content)
    assert len(list((home() / "detectors").iterdir())) == 1


def test_upload_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(detectors, "MAX_BYTES", 10)

    with pytest.raises(DetectorRefused, match="larger"):
        upload(PopulationFactory(), b"12345678901")

    assert not Detector.objects.exists()


def test_check_that_killed_its_worker_refuses_the_model():
    detector = upload(PopulationFactory(), b"something")
    Job.objects.filter(pk=detector.job.pk).update(
        status=Job.Status.RUNNING, lease_token="x"
    )

    finish(detector.job.pk, "x", Job.Status.FAILED, "Its worker died three times.")

    detector.refresh_from_db()
    assert detector.status == Detector.Status.REFUSED
    assert detector.refusal == "Its worker died three times."


def test_ensure_bundled_is_idempotent(tmp_path):
    weights = write(colour_detector(), tmp_path / "fin-detector.onnx")
    card = {"name": "Fins of the sea", "licence": "Apache-2.0"}
    weights.with_suffix(".json").write_text(json.dumps(card))

    first = detectors.ensure_bundled(weights)
    second = detectors.ensure_bundled(weights)

    assert first == second
    assert Detector.objects.count() == 1
    assert first.name == "Fins of the sea"
    assert first.status == Detector.Status.READY
    assert first.is_bundled
    assert Path(first.file.path).read_bytes() == weights.read_bytes()


def test_ensure_bundled_newer_file_is_another_row(tmp_path):
    weights = write(colour_detector(), tmp_path / "fin-detector.onnx")
    old = detectors.ensure_bundled(weights)
    run = DetectionRunFactory(detector=old)
    population = PopulationFactory(default_detector=old)
    write(colour_detector(size_wh=(256, 256)), weights)

    new = detectors.ensure_bundled(weights)

    run.refresh_from_db()
    population.refresh_from_db()
    assert run.detector == old
    assert population.default_detector == new != old
    assert detectors.default_for(run.population) == new


def test_ensure_bundled_unused_old_row_goes(tmp_path):
    weights = write(colour_detector(), tmp_path / "fin-detector.onnx")
    detectors.ensure_bundled(weights)
    write(colour_detector(size_wh=(256, 256)), weights)

    new = detectors.ensure_bundled(weights)

    assert Detector.objects.get() == new


def test_ensure_bundled_missing_file_is_none(tmp_path):
    assert detectors.ensure_bundled(tmp_path / "none.onnx") is None


def test_prepare_can_be_repeated():
    call_command("prepare")
    n_detectors = Detector.objects.count()

    call_command("prepare")

    assert Detector.objects.count() == n_detectors


def test_delete_only_unused_uploads():
    used = DetectionRunFactory().detector
    bundled = DetectorFactory(population=None)
    unused = DetectorFactory()

    with pytest.raises(DetectorInUse):
        detectors.delete_detector(detector=used)
    with pytest.raises(DetectorInUse):
        detectors.delete_detector(detector=bundled)
    detectors.delete_detector(detector=unused)

    assert set(Detector.objects.all()) == {used, bundled}


def test_set_default_needs_ready_model():
    population = PopulationFactory()
    refused = DetectorFactory(population=population, status=Detector.Status.REFUSED)

    with pytest.raises(DetectorRefused):
        detectors.set_default(population=population, detector=refused)
