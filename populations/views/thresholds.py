from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from django.views.decorators.vary import vary_on_headers

from finwave.http import AuthenticatedRequest
from populations import access
from populations.forms.thresholds import ThresholdForm
from populations.queries import thresholds as queries
from populations.services import tiers


@require_http_methods(["GET", "POST"])
@login_required
@vary_on_headers("HX-Request")
def threshold_edit(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    if request.method == "POST":
        population = access.population_for_training(request.user, slug)
    else:
        population = access.population_for(request.user, slug)

    form = ThresholdForm(request.POST or request.GET, population=population)

    threshold, margin = form.tried()
    if request.method == "POST" and form.is_valid():
        done = tiers.set_thresholds(
            population=population, threshold=threshold, margin=margin, user=request.user
        )
        messages.success(request, words_for(done.n_changed))
        return redirect("populations:threshold-edit", slug)

    template = "populations/threshold_edit.html"
    if request.htmx.target == "threshold-trial":
        template += "#trial"
    context = {
        "population": population,
        "section": "training-data",
        "form": form,
        "trial": queries.trial_of(population, threshold=threshold, margin=margin),
        "job": queries.cutting_job(population),
    }
    return render(request, template, context)


def words_for(n_changed: int) -> str:
    if not n_changed:
        return "The thresholds apply; no photograph changed."
    return f"{n_changed} photograph{'s' if n_changed > 1 else ''} changed."
