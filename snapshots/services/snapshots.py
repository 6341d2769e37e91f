"""Taking, keeping and deleting snapshots: what happens to a node of the timeline."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypedDict

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from snapshots import store
from snapshots.exceptions import SnapshotError
from snapshots.models import Deployment, Snapshot, TrainedModel

logger = logging.getLogger(__name__)


class ManifestItem(TypedDict):
    """One training area as it was when the snapshot was trained."""

    annotation: int | None
    photo: int
    individual: str
    encounter: int | None
    side: str
    box: list[float]
    split: str
    crop: str
    sha256: str


def take_snapshot(
    *,
    model: TrainedModel,
    weights_path: Path,
    config: Mapping[str, object],
    classes: Sequence[str],
    metrics: Mapping[str, object],
    calibration: Mapping[str, object],
    manifest: Sequence[ManifestItem],
    cause: str,
    job_number: int,
    job_title: str,
    epoch: int,
    code_version: str,
) -> Snapshot:
    """Store what a training job learnt and make it the model's current state.

    A second call for the same model and job returns the first one's snapshot. Not to
    be called inside a transaction: files are written first.
    """
    taken = Snapshot.objects.filter(model=model, job_number=job_number).first()
    if taken:
        return taken
    weights = store.put_file(weights_path)
    listing = store.put_json(list(manifest))

    now = timezone.now()
    with transaction.atomic():
        # Makes two takers wait for each other.
        TrainedModel.objects.select_for_update().get(pk=model.pk)
        taken = Snapshot.objects.filter(model=model, job_number=job_number).first()
        if taken:
            return taken
        _retire_current(model, now)
        snapshot = Snapshot.objects.create(
            model=model,
            name=_free_name(model, default_name(now, epoch)),
            is_current=True,
            cause=cause,
            expires_at=now + lifetime(model),
            job_number=job_number,
            job_title=job_title[:200],
            epoch=epoch,
            weights=weights,
            config=dict(config),
            classes=list(classes),
            metrics=dict(metrics),
            calibration=dict(calibration),
            manifest=listing,
            fingerprint=fingerprint_of(manifest),
            n_annotations=len(manifest),
            n_photos=len({item["photo"] for item in manifest}),
            n_individuals=len({item["individual"] for item in manifest}),
            size_bytes=weights.size_bytes + listing.size_bytes,
            code_version=code_version[:40],
        )
    logger.info("snapshot=%s model=%s job=%s taken", snapshot.pk, model.pk, job_number)
    return snapshot


def save_snapshot(*, snapshot: Snapshot, user: User | None) -> Snapshot:
    """Keep a snapshot for good; saving a saved one changes nothing."""
    Snapshot.objects.filter(pk=snapshot.pk, state=Snapshot.State.TEMPORARY).update(
        state=Snapshot.State.SAVED,
        expires_at=None,
        saved_at=timezone.now(),
        saved_by=user,
    )
    snapshot.refresh_from_db()
    return snapshot


def unsave_snapshot(*, snapshot: Snapshot) -> Snapshot:
    """Make a saved snapshot temporary again; its lifetime starts now."""
    Snapshot.objects.filter(pk=snapshot.pk, state=Snapshot.State.SAVED).update(
        state=Snapshot.State.TEMPORARY,
        expires_at=timezone.now() + lifetime(snapshot.model),
        saved_at=None,
        saved_by=None,
    )
    snapshot.refresh_from_db()
    return snapshot


def rename_snapshot(*, snapshot: Snapshot, name: str) -> Snapshot:
    """Give a snapshot another name.

    Raises:
        SnapshotError: when another snapshot of the model has it.
    """
    with transaction.atomic():
        others = Snapshot.objects.filter(model=snapshot.model).exclude(pk=snapshot.pk)
        if others.filter(name=name).exists():
            raise SnapshotError(
                f"Another snapshot of {snapshot.model} is called “{name}” already."
            )
        Snapshot.objects.filter(pk=snapshot.pk).update(name=name)
    snapshot.refresh_from_db()
    return snapshot


def note_snapshot(*, snapshot: Snapshot, notes: str) -> Snapshot:
    Snapshot.objects.filter(pk=snapshot.pk).update(notes=notes)
    snapshot.refresh_from_db()
    return snapshot


def delete_snapshot(*, snapshot: Snapshot) -> None:
    """Delete a temporary snapshot that nothing needs, with its retired deployments.

    Raises:
        SnapshotError: saying what needs it.
    """
    with transaction.atomic():
        candidate = Snapshot.objects.filter(pk=snapshot.pk)
        if not candidate.deletable().exists():
            raise SnapshotError(why_not_deletable(snapshot))
        # Deployments restrict the deletion of their snapshot; only retired and
        # failed ones are left here, and nothing searches those.
        Deployment.objects.filter(snapshot=snapshot).delete()
        candidate.delete()
    logger.info("snapshot=%s deleted", snapshot.pk)


def why_not_deletable(snapshot: Snapshot) -> str:
    """Say what keeps a snapshot from being deleted; empty when nothing does."""
    if snapshot.is_current:
        return f"“{snapshot}” is the current state of {snapshot.model}."
    if snapshot.state == Snapshot.State.SAVED:
        return f"“{snapshot}” is saved. Make it temporary first."
    if snapshot.deployments.filter(status__in=Deployment.IN_USE).exists():
        return f"“{snapshot}” is deployed."
    child = snapshot.derived_models.first()
    return f"“{snapshot}” is what the model {child} started from." if child else ""


def default_name(moment: datetime, epoch: int) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}, epoch {epoch}"


def fingerprint_of(manifest: Sequence[ManifestItem]) -> str:
    """Return the SHA-256 over the sorted (crop, individual) pairs."""
    pairs = sorted((item["sha256"], item["individual"]) for item in manifest)
    text = "".join(f"{sha256}\t{individual}\n" for sha256, individual in pairs)
    return hashlib.sha256(text.encode()).hexdigest()


def lifetime(model: TrainedModel) -> timedelta:
    return timedelta(days=model.population.snapshot_lifetime_days)


def _retire_current(model: TrainedModel, now: datetime) -> None:
    current = Snapshot.objects.filter(model=model, is_current=True)
    # While it was current it could not expire, so its days are counted from now.
    current.filter(state=Snapshot.State.TEMPORARY).update(
        expires_at=now + lifetime(model)
    )
    current.update(is_current=False)


def _free_name(model: TrainedModel, name: str) -> str:
    taken = set(
        Snapshot.objects.filter(model=model, name__startswith=name).values_list(
            "name", flat=True
        )
    )
    numbered = (f"{name} ({n})" for n in range(2, len(taken) + 2))
    return next((n for n in (name, *numbered) if n not in taken), name)
