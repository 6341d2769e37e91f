"""The timeline of a model: its snapshots as nodes on an axis of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.core.paginator import Page, Paginator
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from django.utils.timesince import timesince

from populations.models import Population
from snapshots import store
from snapshots.exceptions import StoreError
from snapshots.models import Deployment, Snapshot, TrainedModel

NODES_PER_PAGE = 60
# The widest gap between two nodes, in the steps that timeline.css knows.
GAP_STEPS = 12
# A gap says its length from here on; below, nodes simply stand side by side.
GAP_NAMED = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured on the validation split; None where nothing was."""

    top1: float | None
    top5: float | None
    mean_average_precision: float | None
    n_queries: int | None


@dataclass(frozen=True, slots=True)
class Node:
    """One snapshot as it is drawn."""

    snapshot: Snapshot
    figures: Figures
    gap: int  # 0 to GAP_STEPS: room before the node, in proportion to time
    gap_label: str
    is_deployed: bool
    is_being_deployed: bool
    days_left: int | None  # None: it does not expire
    percent_left: int  # of its lifetime
    why_not_deletable: str

    @property
    def is_saved(self) -> bool:
        return self.snapshot.state == Snapshot.State.SAVED

    @property
    def label(self) -> str:
        """Return the name, or the epoch where the name only repeats the time."""
        name = self.snapshot.name
        is_default = name.startswith(
            f"{timezone.localtime(self.snapshot.created_at):%Y-%m-%d}"
        )
        return f"epoch {self.snapshot.epoch}" if is_default else name

    @property
    def words(self) -> str:
        """Say in words what the drawing says in shapes."""
        parts = [
            "current state" if self.snapshot.is_current else "",
            "saved" if self.is_saved else "temporary",
            "deployed" if self.is_deployed else "",
        ]
        if self.days_left is not None:
            parts.append(f"{self.days_left} days left")
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of the list, with its current state."""

    model: TrainedModel
    current: Snapshot | None
    figures: Figures | None
    is_deployed: bool
    n_snapshots: int


def timeline_page(model: TrainedModel, number: int | str | None) -> Page[Snapshot]:
    return Paginator(_snapshots(model), NODES_PER_PAGE).get_page(number)


def nodes_of(snapshots: Sequence[Snapshot], model: TrainedModel) -> list[Node]:
    """Return the nodes from old to new. No query: everything was fetched along."""
    ordered = sorted(snapshots, key=lambda s: (s.created_at, s.pk))
    gaps = [after.created_at - before.created_at for before, after in pairwise(ordered)]
    longest = max([*gaps, timedelta(seconds=1)])
    now = timezone.now()
    return [
        _node(
            snapshot,
            model,
            now,
            before=ordered[n - 1] if n else None,
            share=gaps[n - 1] / longest if n else 0.0,
        )
        for n, snapshot in enumerate(ordered)
    ]


def node_of(snapshot: Snapshot) -> Node:
    """Return one snapshot as a node by itself."""
    fetched = _snapshots(snapshot.model).get(pk=snapshot.pk)
    return _node(fetched, snapshot.model, timezone.now(), before=None, share=0.0)


def model_rows(population: Population) -> QuerySet[TrainedModel]:
    """Return the models with what `model_row` needs, in a constant number of queries."""
    return (
        TrainedModel.objects.filter(population=population)
        .select_related("parent_snapshot__model")
        .prefetch_related(
            Prefetch(
                "snapshots",
                Snapshot.objects.order_by("-created_at").prefetch_related(
                    _deployments()
                ),
            )
        )
    )


def model_row(model: TrainedModel) -> ModelRow:
    snapshots = list(model.snapshots.all())
    current = next((s for s in snapshots if s.is_current), None)
    return ModelRow(
        model=model,
        current=current,
        figures=figures_of(current) if current else None,
        is_deployed=any(_has(s, Deployment.Status.ACTIVE) for s in snapshots),
        n_snapshots=len(snapshots),
    )


def figures_of(snapshot: Snapshot) -> Figures:
    metrics = snapshot.metrics
    return Figures(
        top1=metrics.get("top1"),
        top5=metrics.get("top5"),
        mean_average_precision=metrics.get("mean_average_precision"),
        n_queries=metrics.get("n_queries"),
    )


def _snapshots(model: TrainedModel) -> QuerySet[Snapshot]:
    return (
        Snapshot.objects.filter(model=model)
        .select_related("saved_by")
        .prefetch_related(_deployments(), "derived_models")
    )


def _deployments() -> Prefetch[str]:
    in_use = Deployment.objects.filter(status__in=Deployment.IN_USE)
    return Prefetch("deployments", in_use, to_attr="deployments_in_use")


def _node(
    snapshot: Snapshot,
    model: TrainedModel,
    now: datetime,
    *,
    before: Snapshot | None,
    share: float,
) -> Node:
    days_left, percent_left = _time_left(snapshot, model, now)
    gap = snapshot.created_at - before.created_at if before else timedelta(0)
    return Node(
        snapshot=snapshot,
        figures=figures_of(snapshot),
        gap=round(GAP_STEPS * share),
        gap_label=timesince(before.created_at, snapshot.created_at, depth=1)
        if before and gap >= GAP_NAMED
        else "",
        is_deployed=_has(snapshot, Deployment.Status.ACTIVE),
        is_being_deployed=_has(snapshot, Deployment.Status.PREPARING),
        days_left=days_left,
        percent_left=percent_left,
        why_not_deletable=_why_not_deletable(snapshot),
    )


def _why_not_deletable(snapshot: Snapshot) -> str:
    """Say it from what was fetched along; the service says it again when it matters."""
    if snapshot.is_current:
        return "the current state stays"
    if snapshot.state == Snapshot.State.SAVED:
        return "it is saved"
    if snapshot.deployments_in_use:  # type: ignore[attr-defined]  # prefetched
        return "it is deployed"
    return "another model started from it" if snapshot.derived_models.all() else ""


def _time_left(
    snapshot: Snapshot, model: TrainedModel, now: datetime
) -> tuple[int | None, int]:
    """Return whole days left and percent of the lifetime; none where it stays."""
    stays = (
        snapshot.expires_at is None
        or snapshot.is_current
        or bool(snapshot.deployments_in_use)  # type: ignore[attr-defined]  # prefetched
    )
    if stays or snapshot.expires_at is None:
        return None, 100
    left = max(snapshot.expires_at - now, timedelta(0))
    lifetime = timedelta(days=max(model.population.snapshot_lifetime_days, 1))
    return -(-left // timedelta(days=1)), min(100, round(100 * (left / lifetime)))


def _has(snapshot: Snapshot, status: str) -> bool:
    in_use: list[Deployment] = snapshot.deployments_in_use  # type: ignore[attr-defined]  # prefetched
    return any(deployment.status == status for deployment in in_use)


def chosen_node(nodes: Sequence[Node], snapshot_id: int | None) -> Node | None:
    """Return the node asked for, else the current state, else the newest."""
    current = next((node for node in nodes if node.snapshot.is_current), None)
    asked = (node for node in nodes if node.snapshot.pk == snapshot_id)
    return next(asked, None) or current or (nodes[-1] if nodes else None)


def manifest_shares(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Count the training areas of each split; empty when the listing is damaged."""
    try:
        items = store.read_json(snapshot.manifest)
    except StoreError:
        return []
    assert isinstance(items, list)
    return sorted(Counter(str(item.get("split") or "all") for item in items).items())
