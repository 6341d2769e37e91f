"""Putting a snapshot to work: export, gallery, switch. One is active a population."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from finwave.home import job_folder
from finwave.jobs.exceptions import JobError
from finwave.jobs.models import Job
from finwave.jobs.running import JobRun
from finwave.jobs.services import start_job
from populations.models import Population, Sighting
from snapshots import store
from snapshots.exceptions import SnapshotError
from snapshots.models import Deployment, Embedding, Onboarding, Snapshot, TrainedModel
from snapshots.queries.deployments import gallery_annotations
from snapshots.services.gallery import embed, say_phase, without_embedding
from snapshots.services.onboarding import onboard_encounter

logger = logging.getLogger(__name__)

EXPORT_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Export:
    """An encoder as ONNX, and how far it is from the torch one."""

    path: Path
    max_abs_difference: float


def deploy_snapshot(*, snapshot: Snapshot, user: User | None) -> Deployment:
    """Start to put a snapshot to work; the present one serves until it is ready.

    Raises:
        SnapshotError: when it identifies nobody, serves already, or another
            deployment is being prepared.
    """
    population = snapshot.model.population
    if snapshot.model.task != TrainedModel.Task.IDENTIFICATION:
        raise SnapshotError(f"{snapshot.model} does not identify individuals.")
    with transaction.atomic():
        # Makes two starters wait for each other.
        Population.objects.select_for_update().get(pk=population.pk)
        _refuse_second(population, snapshot)
        deployment = Deployment.objects.create(
            population=population,
            snapshot=snapshot,
            calibration=snapshot.calibration,
            created_by=user,
        )
        deployment.job = start_job(
            kind="snapshots.deployment",
            scope_id=population.pk,
            subject_id=deployment.pk,
            title=f"Deploy {snapshot.model}, {snapshot}"[:200],
            user=user,
            n_total=gallery_annotations(population.pk).count(),
            unit="crops",
        )
        deployment.save(update_fields=["job"])
    return deployment


def deploy(run: JobRun, deployment: Deployment) -> None:
    """Do a deployment's job; called again after a kill, it goes on where it was.

    Steps: export the encoder and check it against torch; embed every crop somebody
    stands for; make this deployment the active one.
    """
    if deployment.status != Deployment.Status.PREPARING:
        return
    if deployment.encoder is None:
        say_phase(run, "Exporting the encoder")
        _store_encoder(deployment, export(deployment.snapshot, job_folder(run.job_id)))
        run.log(
            "Exported the encoder; its largest difference from the trained model is "
            f"{deployment.export_difference:.1e}."
        )
    gallery = gallery_annotations(deployment.population_id)
    # Crops confirmed while others were embedded are caught by another round.
    while without_embedding(deployment, gallery).exists():
        if run.should_stop() or not embed(deployment, gallery, run=run):
            break
    if run.should_stop():
        return
    activate(deployment)
    run.log(f"Deployed with a gallery of {deployment.embeddings.count()} crops.")


def activate(deployment: Deployment) -> None:
    """Make a prepared deployment the active one, and ask it about waiting animals."""
    with transaction.atomic():
        Population.objects.select_for_update().get(pk=deployment.population_id)
        Deployment.objects.filter(
            population=deployment.population_id, status=Deployment.Status.ACTIVE
        ).update(status=Deployment.Status.RETIRED)
        won = Deployment.objects.filter(
            pk=deployment.pk, status=Deployment.Status.PREPARING
        ).update(status=Deployment.Status.ACTIVE, activated_at=timezone.now())
        if won != 1:
            raise JobError("This deployment was ended by somebody meanwhile.")
        waiting = Onboarding.objects.filter(
            encounter__population=deployment.population_id,
            encounter__sightings__status=Sighting.Status.WAITING,
        ).select_related("encounter__population")
        for onboarding in waiting.distinct():
            onboard_encounter(
                encounter=onboarding.encounter, user=deployment.created_by
            )
    deployment.refresh_from_db()
    logger.info("deployment=%s active", deployment.pk)


def retire_deployment(*, deployment: Deployment) -> None:
    """Take the active deployment out of service; suggestions stay as they are."""
    Deployment.objects.filter(pk=deployment.pk, status=Deployment.Status.ACTIVE).update(
        status=Deployment.Status.RETIRED
    )


def job_ended(job: Job) -> None:
    """Mark the deployment failed when its job ended without activating it."""
    failed = Deployment.objects.filter(
        pk=job.subject_id, status=Deployment.Status.PREPARING
    )
    Embedding.objects.filter(deployment__in=failed).delete()
    failed.update(status=Deployment.Status.FAILED)


def job_page(job: Job) -> str:
    deployment = (
        Deployment.objects.select_related("population", "snapshot")
        .filter(pk=job.subject_id)
        .first()
    )
    if deployment is None:
        return reverse("populations:population-list")
    return reverse(
        "snapshots:deployment-detail", args=[deployment.population.slug, deployment.pk]
    )


def export(snapshot: Snapshot, folder: Path) -> Export:
    """Export a snapshot's encoder in a process of its own, which may use torch.

    Raises:
        JobError: when the weights are damaged or the ONNX encoder differs.
    """
    store.verify(snapshot.weights)
    folder.mkdir(parents=True, exist_ok=True)
    config, out, report = (
        folder / name for name in ("config.json", "encoder.onnx", "export.json")
    )
    config.write_text(json.dumps(snapshot.config))
    command = [
        *(sys.executable, "-m", "finwave.ml.export"),
        *("--weights", str(store.path_of(snapshot.weights))),
        *("--config", str(config)),
        *("--n-classes", str(len(snapshot.classes))),
        *("--out", str(out)),
        *("--report", str(report)),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=EXPORT_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise JobError(f"The encoder could not be exported: {last}")
    difference = json.loads(report.read_text())["max_abs_difference"]
    return Export(path=out, max_abs_difference=float(difference))


def _refuse_second(population: Population, snapshot: Snapshot) -> None:
    in_use = Deployment.objects.filter(
        population=population, status__in=Deployment.IN_USE
    ).select_related("snapshot")
    for deployment in in_use:
        if deployment.status == Deployment.Status.PREPARING:
            raise SnapshotError(
                f"“{deployment.snapshot}” is being deployed just now. Wait until it is "
                "ready, or stop it."
            )
        if deployment.snapshot_id == snapshot.pk:
            raise SnapshotError(f"“{snapshot}” is deployed already.")


def _store_encoder(deployment: Deployment, exported: Export) -> None:
    deployment.encoder = store.put_file(exported.path)
    deployment.export_difference = exported.max_abs_difference
    deployment.save(update_fields=["encoder", "export_difference"])
    exported.path.unlink(missing_ok=True)
