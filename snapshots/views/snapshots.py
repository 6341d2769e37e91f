from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from finwave.http import AuthenticatedRequest
from populations.access import population_for, population_for_training
from snapshots import access, store
from snapshots.exceptions import SnapshotError
from snapshots.forms import SnapshotDeleteForm, SnapshotNameForm, SnapshotNotesForm
from snapshots.models import Snapshot
from snapshots.queries import timeline
from snapshots.services import deployments
from snapshots.services import snapshots as services


@require_GET
@login_required
def snapshot_detail(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for(request.user, slug)
    snapshot = access.snapshot_in(population, pk)

    return render(
        request,
        "snapshots/snapshot_detail.html",
        {
            "population": population,
            "section": "models",
            "model": snapshot.model,
            "snapshot": snapshot,
            "node": timeline.node_of(snapshot),
            "config": [
                (key.replace("_", " "), value)
                for key, value in sorted(snapshot.config.items())
            ],
            "shares": timeline.manifest_shares(snapshot),
        },
    )


@require_POST
@login_required
def snapshot_save(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for_training(request.user, slug)
    snapshot = access.snapshot_in(population, pk)

    services.save_snapshot(snapshot=snapshot, user=request.user)

    messages.success(request, f"“{snapshot}” is saved: it stays until you delete it.")
    return redirect(_on_timeline(snapshot))


@require_POST
@login_required
def snapshot_unsave(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for_training(request.user, slug)
    snapshot = access.snapshot_in(population, pk)

    services.unsave_snapshot(snapshot=snapshot)

    days = population.snapshot_lifetime_days
    messages.success(
        request, f"“{snapshot}” is temporary again; its {days} days start now."
    )
    return redirect(_on_timeline(snapshot))


@require_POST
@login_required
def snapshot_rename(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for_training(request.user, slug)
    snapshot = access.snapshot_in(population, pk)

    form = SnapshotNameForm(request.POST)
    if not form.is_valid():
        messages.error(request, "A name has 1 to 120 characters. Nothing was changed.")
        return redirect(_on_timeline(snapshot))

    try:
        services.rename_snapshot(snapshot=snapshot, name=form.cleaned_data["name"])
    except SnapshotError as error:
        messages.error(request, str(error))

    return redirect(_on_timeline(snapshot))


@require_POST
@login_required
def snapshot_notes(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for_training(request.user, slug)
    snapshot = access.snapshot_in(population, pk)

    form = SnapshotNotesForm(request.POST)
    if form.is_valid():
        services.note_snapshot(snapshot=snapshot, notes=form.cleaned_data["notes"])
    else:
        messages.error(request, "Notes have at most 4000 characters.")

    return redirect(_on_timeline(snapshot))


@require_POST
@login_required
def snapshot_deploy(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for_training(request.user, slug)
    snapshot = access.snapshot_in(population, pk)

    try:
        deployment = deployments.deploy_snapshot(snapshot=snapshot, user=request.user)
    except SnapshotError as error:
        messages.error(request, str(error))
        return redirect(_on_timeline(snapshot))

    return redirect("snapshots:deployment-detail", slug, deployment.pk)


@require_GET
@login_required
def snapshot_weights(request: AuthenticatedRequest, slug: str, pk: int) -> FileResponse:
    population = population_for_training(request.user, slug)
    snapshot = access.snapshot_in(population, pk)

    name = slugify(f"{snapshot.model.name} {snapshot.name}") or f"snapshot-{pk}"

    return FileResponse(
        store.path_of(snapshot.weights).open("rb"),
        as_attachment=True,
        filename=f"{name}.safetensors",
        content_type="application/octet-stream",
    )


@require_http_methods(["GET", "POST"])
@login_required
def snapshot_delete(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = population_for_training(request.user, slug)
    snapshot = access.snapshot_in(population, pk)

    form = SnapshotDeleteForm(request.POST or None, snapshot=snapshot)

    if request.method == "POST" and form.is_valid():
        try:
            services.delete_snapshot(snapshot=snapshot)
        except SnapshotError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"“{snapshot.name}” is deleted.")
            return redirect("snapshots:model-detail", slug, snapshot.model_id)

    return render(
        request,
        "snapshots/snapshot_confirm_delete.html",
        {
            "population": population,
            "section": "models",
            "snapshot": snapshot,
            "form": form,
            "refusal": services.why_not_deletable(snapshot),
        },
        status=422 if form.is_bound else 200,
    )


def _on_timeline(snapshot: Snapshot) -> str:
    model = snapshot.model
    url = reverse("snapshots:model-detail", args=[model.population.slug, model.pk])
    return f"{url}?snapshot={snapshot.pk}"
