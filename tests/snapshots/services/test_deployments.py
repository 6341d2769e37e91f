from __future__ import annotations

import pytest
from PIL import Image

from finwave.jobs.models import Job
from finwave.jobs.services import stop_job
from finwave.jobs.tasks import run_job
from populations.models import Annotation
from snapshots import store
from snapshots.exceptions import SnapshotError
from snapshots.models import Deployment, Embedding
from snapshots.services import deployments, gallery
from tests.factories.populations import AnnotationFactory, PopulationFactory
from tests.factories.snapshots import (
    DeploymentFactory,
    SnapshotFactory,
    crop_file,
    stored,
)

pytestmark = pytest.mark.django_db


def add_crop(population, colour=(200, 40, 40), **changes) -> Annotation:
    annotation = AnnotationFactory(photo__population=population, **changes)
    Image.new("RGB", (40, 30), colour).save(
        crop_file(annotation).with_suffix(".jpg"), "JPEG"
    )
    return annotation


@pytest.fixture
def deploy_ready(start_deployment):
    """Deploy with an encoder that was exported before."""
    return lambda snapshot: finish(start_deployment(snapshot))


def deploy(snapshot) -> Deployment:
    return finish(deployments.deploy_snapshot(snapshot=snapshot, user=None))


def finish(deployment: Deployment) -> Deployment:
    run_job(deployment.job.pk)
    deployment.refresh_from_db()
    deployment.job.refresh_from_db()
    return deployment


def test_deployment_exports_the_encoder_and_embeds_every_trusted_crop(
    population, real_snapshot
):
    attested = add_crop(population)
    confirmed = add_crop(population, (10, 200, 10), evidence="confirmed")
    add_crop(population, is_dropped=True)
    add_crop(population, individual=None, evidence="none")
    add_crop(PopulationFactory())

    deployment = deploy(real_snapshot)

    assert deployment.job.status == Job.Status.COMPLETED, deployment.job.reason
    assert deployment.status == Deployment.Status.ACTIVE
    assert 0 <= deployment.export_difference < 1e-4
    store.verify(deployment.encoder)
    assert set(deployment.embeddings.values_list("annotation_id", flat=True)) == {
        attested.pk,
        confirmed.pk,
    }
    vectors = gallery.load_gallery(deployment)
    assert vectors.embeddings.shape == (2, 16)
    assert (vectors.embeddings**2).sum(1) == pytest.approx([1, 1], abs=1e-5)


def test_the_deployment_before_is_retired_at_the_switch(
    population, real_snapshot, deploy_ready
):
    before = DeploymentFactory(
        snapshot=SnapshotFactory(model=real_snapshot.model), population=population
    )

    after = deploy_ready(real_snapshot)

    before.refresh_from_db()
    assert before.status == Deployment.Status.RETIRED
    assert after.status == Deployment.Status.ACTIVE


def test_a_failed_export_leaves_the_present_deployment_at_work(population, model):
    before = DeploymentFactory(snapshot=SnapshotFactory(model=model))

    failed = deploy(SnapshotFactory(model=model, weights=stored(b"no safetensors")))

    before.refresh_from_db()
    assert failed.status == Deployment.Status.FAILED
    assert failed.job.status == Job.Status.FAILED
    assert "could not be exported" in failed.job.reason
    assert before.status == Deployment.Status.ACTIVE


def test_damaged_weights_are_refused_with_a_plain_reason(population, real_snapshot):
    store.path_of(real_snapshot.weights).write_bytes(b"rotten")

    failed = deploy(real_snapshot)

    assert failed.status == Deployment.Status.FAILED
    assert "damaged" in failed.job.reason


def test_it_resumes_without_exporting_or_embedding_twice(
    population, real_snapshot, monkeypatch
):
    for _ in range(3):
        add_crop(population)
    monkeypatch.setattr(gallery, "BATCH", 1)
    calls = []
    store_batch = gallery._store

    def die_at_the_second(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        store_batch(*args)

    monkeypatch.setattr(gallery, "_store", die_at_the_second)
    deployment = deployments.deploy_snapshot(snapshot=real_snapshot, user=None)
    with pytest.raises(KeyboardInterrupt):
        run_job(deployment.job.pk)
    # What a kill leaves behind: a lease that nobody holds.
    Job.objects.filter(pk=deployment.job.pk).update(status="queued", lease_token="")
    deployment.refresh_from_db()
    encoder = deployment.encoder_id
    first = Embedding.objects.get()
    monkeypatch.setattr(deployments, "export", None)

    run_job(deployment.job.pk)

    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.ACTIVE
    assert deployment.encoder_id == encoder
    assert Embedding.objects.count() == 3
    assert Embedding.objects.filter(pk=first.pk).exists()


def test_double_delivery_does_nothing(population, real_snapshot, deploy_ready):
    deployment = deploy_ready(real_snapshot)
    activated_at = deployment.activated_at

    run_job(deployment.job.pk)

    deployment.refresh_from_db()
    assert deployment.activated_at == activated_at


def test_a_stopped_deployment_fails_and_changes_nothing(population, real_snapshot):
    deployment = deployments.deploy_snapshot(snapshot=real_snapshot, user=None)
    stop_job(deployment.job)

    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.FAILED


def test_a_second_deployment_waits_for_the_first(population, real_snapshot):
    deployments.deploy_snapshot(snapshot=real_snapshot, user=None)

    with pytest.raises(SnapshotError, match="being deployed"):
        deployments.deploy_snapshot(
            snapshot=SnapshotFactory(model=real_snapshot.model), user=None
        )


def test_what_is_deployed_is_not_deployed_again(
    population, real_snapshot, deploy_ready
):
    deploy_ready(real_snapshot)

    with pytest.raises(SnapshotError, match="already"):
        deployments.deploy_snapshot(snapshot=real_snapshot, user=None)


def test_a_snapshot_of_another_task_is_refused(population, model):
    model.task = "segmentation"
    model.save()

    with pytest.raises(SnapshotError, match="does not identify"):
        deployments.deploy_snapshot(snapshot=SnapshotFactory(model=model), user=None)


def test_the_gallery_follows_drops_relabels_and_changed_crops(
    population, real_snapshot, deploy_ready
):
    stays, dropped, recut = (add_crop(population) for _ in range(3))
    deployment = deploy_ready(real_snapshot)
    Annotation.objects.filter(pk=dropped.pk).update(is_dropped=True)
    other = AnnotationFactory(photo__population=population).individual
    Annotation.objects.filter(pk=stays.pk).update(individual=other)
    Annotation.objects.filter(pk=recut.pk).update(crop_sha256="e" * 64)

    vectors = gallery.load_gallery(deployment)
    n_embedded = gallery.ensure_gallery(deployment)

    assert vectors.annotation_ids == [stays.pk, recut.pk]
    assert vectors.individual_ids[0] == other.pk
    assert n_embedded == 1
    assert Embedding.objects.get(annotation=recut).crop_sha256 == "e" * 64


def test_an_unreadable_crop_is_left_out_and_logged(
    population, real_snapshot, deploy_ready
):
    add_crop(population)
    broken = AnnotationFactory(photo__population=population)
    crop_file(broken, b"not a picture")

    deployment = deploy_ready(real_snapshot)

    assert deployment.status == Deployment.Status.ACTIVE
    assert deployment.embeddings.count() == 1
    lines = deployment.job.events.filter(kind="log").values_list("data", flat=True)
    assert any(f"Crop {broken.pk}" in line["message"] for line in lines)
