from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from snapshots import store
from snapshots.exceptions import SnapshotError
from snapshots.models import Deployment, Snapshot
from snapshots.services import retention
from snapshots.services import snapshots as services
from tests.factories.accounts import UserFactory
from tests.factories.snapshots import (
    DeploymentFactory,
    SnapshotFactory,
    TrainedModelFactory,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)


def item(individual, photo, sha256="0" * 64):
    return {
        "annotation": photo,
        "photo": photo,
        "individual": individual,
        "encounter": None,
        "side": "left",
        "box": [0, 0, 1, 1],
        "split": "train",
        "crop": "x.jpg",
        "sha256": sha256,
    }


@pytest.fixture
def take(model, tmp_path):
    def take_one(job_number=1, weights=b"weights", **changes):
        path = tmp_path / "best.safetensors"
        path.write_bytes(weights)
        return services.take_snapshot(
            **{
                "model": model,
                "weights_path": path,
                "config": {"epochs": 8},
                "classes": ["T1", "T2"],
                "metrics": {"top1": 0.5},
                "calibration": {},
                "manifest": [item("T1", 1), item("T2", 1), item("T2", 2)],
                "cause": "finished",
                "job_number": job_number,
                "job_title": "Train",
                "epoch": 8,
                "code_version": "0.1.0",
                **changes,
            }
        )

    return take_one


def test_take_snapshot_makes_the_current_state(take, population):
    with time_machine.travel(NOON, tick=False):
        snapshot = take()

    assert snapshot.is_current
    assert snapshot.state == Snapshot.State.TEMPORARY
    assert snapshot.name == "2026-11-20 14:05, epoch 8"
    assert snapshot.expires_at == NOON + timedelta(days=30)
    assert (snapshot.n_annotations, snapshot.n_photos, snapshot.n_individuals) == (
        3,
        2,
        2,
    )
    assert store.path_of(snapshot.weights).read_bytes() == b"weights"
    assert store.read_json(snapshot.manifest)[2]["individual"] == "T2"
    assert snapshot.size_bytes == sum(
        obj.size_bytes for obj in (snapshot.weights, snapshot.manifest)
    )


def test_the_current_state_before_becomes_temporary_and_its_days_start(take):
    with time_machine.travel(NOON - timedelta(days=29), tick=False):
        first = take(1)
    with time_machine.travel(NOON, tick=False):
        second = take(2)

    first.refresh_from_db()
    assert not first.is_current
    assert first.expires_at == NOON + timedelta(days=30)
    assert second.is_current


def test_a_saved_state_stays_saved_when_it_is_no_longer_current(take):
    first = services.save_snapshot(snapshot=take(1), user=None)
    take(2)

    first.refresh_from_db()
    assert first.state == Snapshot.State.SAVED
    assert first.expires_at is None


def test_the_same_job_leaves_one_snapshot(take):
    first = take(7)
    second = take(7, weights=b"other")

    assert first == second
    assert Snapshot.objects.count() == 1


def test_names_are_unique_within_a_minute(take):
    with time_machine.travel(NOON, tick=False):
        names = [take(n).name for n in (1, 2, 3)]

    assert names == [
        "2026-11-20 14:05, epoch 8",
        "2026-11-20 14:05, epoch 8 (2)",
        "2026-11-20 14:05, epoch 8 (3)",
    ]


def test_fingerprint_depends_on_crops_and_names_but_not_on_order():
    a, b = item("T1", 1, "a" * 64), item("T2", 2, "b" * 64)

    assert services.fingerprint_of([a, b]) == services.fingerprint_of([b, a])
    assert services.fingerprint_of([a, b]) != services.fingerprint_of(
        [a, {**b, "individual": "T3"}]
    )


def test_save_and_unsave(model):
    user = UserFactory()
    snapshot = SnapshotFactory(model=model)

    services.save_snapshot(snapshot=snapshot, user=user)
    assert (snapshot.state, snapshot.expires_at) == ("saved", None)
    assert snapshot.saved_by == user

    with time_machine.travel(NOON, tick=False):
        services.unsave_snapshot(snapshot=snapshot)
    assert snapshot.state == "temporary"
    assert snapshot.expires_at == NOON + timedelta(days=30)


def test_saving_twice_keeps_the_first_saver(model):
    first, second = UserFactory(), UserFactory()
    snapshot = SnapshotFactory(model=model)

    services.save_snapshot(snapshot=snapshot, user=first)
    services.save_snapshot(snapshot=snapshot, user=second)

    assert snapshot.saved_by == first


def test_rename_refuses_a_name_in_use(model):
    SnapshotFactory(model=model, name="best")
    snapshot = SnapshotFactory(model=model, name="other")
    SnapshotFactory(name="elsewhere")

    with pytest.raises(SnapshotError, match="best"):
        services.rename_snapshot(snapshot=snapshot, name="best")
    services.rename_snapshot(snapshot=snapshot, name="elsewhere")

    snapshot.refresh_from_db()
    assert snapshot.name == "elsewhere"


def expired(**changes):
    return SnapshotFactory(expires_at=timezone.now() - timedelta(seconds=1), **changes)


def test_expire_deletes_expired_temporary_snapshots_only(model):
    gone = expired(model=model)
    current = expired(model=model, is_current=True)
    saved = SnapshotFactory(model=model, state="saved", expires_at=None)
    deployed = expired(model=model)
    DeploymentFactory(snapshot=deployed)
    preparing = expired(model=model)
    DeploymentFactory(snapshot=preparing, status="preparing")
    parent = expired(model=model)
    TrainedModelFactory(parent_snapshot=parent)
    fresh = SnapshotFactory(model=model)

    dry = retention.expire_snapshots(is_dry_run=True)
    assert dry.names == (f"Fins: {gone.name}",)
    assert Snapshot.objects.filter(pk=gone.pk).exists()
    report = retention.expire_snapshots()

    assert report.names == dry.names
    assert set(Snapshot.objects.values_list("pk", flat=True)) == {
        one.pk for one in (current, saved, deployed, preparing, parent, fresh)
    }


def test_a_retired_deployment_goes_with_its_snapshot(model):
    snapshot = SnapshotFactory(model=model)
    DeploymentFactory(snapshot=snapshot, status=Deployment.Status.RETIRED)

    services.delete_snapshot(snapshot=snapshot)

    assert not Deployment.objects.exists()
    assert not Snapshot.objects.exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"is_current": True}, "current state"),
        ({"state": "saved", "expires_at": None}, "saved"),
    ],
)
def test_delete_refuses_what_is_needed(model, changes, why):
    snapshot = SnapshotFactory(model=model, **changes)

    with pytest.raises(SnapshotError, match=why):
        services.delete_snapshot(snapshot=snapshot)

    assert Snapshot.objects.filter(pk=snapshot.pk).exists()


def test_delete_refuses_what_is_deployed_or_a_parent(model):
    deployed, parent = SnapshotFactory(model=model), SnapshotFactory(model=model)
    DeploymentFactory(snapshot=deployed)
    TrainedModelFactory(parent_snapshot=parent, name="Child")

    with pytest.raises(SnapshotError, match="deployed"):
        services.delete_snapshot(snapshot=deployed)
    with pytest.raises(SnapshotError, match="Child"):
        services.delete_snapshot(snapshot=parent)


def test_migrating_writes_the_schedule_once():
    from django_q.models import Schedule

    Schedule.objects.all().delete()
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)

    schedule = Schedule.objects.get(name="snapshots.expire")
    assert schedule.func == "snapshots.tasks.expire"
    assert schedule.cluster == "cpu"
