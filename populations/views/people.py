from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
)

from finwave.http import AuthenticatedRequest
from populations import access
from populations.exceptions import PopulationsError
from populations.forms.people import (
    CodeCheckForm,
    MemberForm,
    PopulationForm,
    PopulationSettingsForm,
    RoleForm,
    TypedNameForm,
)
from populations.models import Membership, Population
from populations.queries import people as queries
from populations.services import people as services
from populations.services.demo import create_demo_population


@require_GET
@login_required
def population_list(request: AuthenticatedRequest) -> HttpResponse:
    populations = queries.populations_of(request.user)

    return render(
        request, "populations/population_list.html", {"populations": populations}
    )


@require_http_methods(["GET", "POST"])
@login_required
def population_create(request: AuthenticatedRequest) -> HttpResponse:
    form = PopulationForm(request.POST or None)

    if form.is_valid():
        population = form.save(commit=False)
        services.create_population(population=population, user=request.user)
        return redirect("populations:population-overview", slug=population.slug)

    return render(
        request,
        "populations/population_form.html",
        {"form": form, "checked": []},
        status=422 if form.is_bound else 200,
    )


@require_POST
@login_required
def demo_create(request: AuthenticatedRequest) -> HttpResponse:
    population = create_demo_population(request.user)

    return redirect("populations:population-overview", slug=population.slug)


@require_http_methods(["GET", "POST"])
@login_required
def population_settings(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_administration(request.user, slug)

    form = PopulationSettingsForm(request.POST or None, instance=population)

    if form.is_valid():
        services.save_settings(
            population=form.save(commit=False),
            changed=form.changed_data,
            user=request.user,
        )
        messages.success(request, "The settings are saved.")
        return redirect("populations:population-settings", slug=slug)

    # A refused form has written into its instance; the frame shows what is stored.
    shown = access.population_for_administration(request.user, slug)
    return render(
        request,
        "populations/population_settings.html",
        {"population": shown, "section": "settings", "form": form},
        status=422 if form.is_bound else 200,
    )


@require_GET
@login_required
def code_check(request: AuthenticatedRequest) -> HttpResponse:
    form = CodeCheckForm(request.GET)

    checked = form.checked() if form.is_valid() else []

    return render(
        request,
        "populations/_code_check.html",
        {"check": form, "checked": checked},
    )


@require_http_methods(["GET", "POST"])
@login_required
def population_delete(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_administration(request.user, slug)

    form = TypedNameForm(request.POST or None, expected=population.name)

    if form.is_valid():
        name = population.name
        try:
            services.delete_population(population=population, user=request.user)
        except PopulationsError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"“{name}” is deleted.")
            return redirect("populations:population-list")

    return render(
        request,
        "populations/population_confirm_delete.html",
        {
            "population": population,
            "section": "settings",
            "form": form,
            "contents": queries.contents_of(population),
        },
        status=422 if form.is_bound else 200,
    )


@require_http_methods(["GET", "POST"])
@login_required
def member_list(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    population = access.population_for_administration(request.user, slug)

    form = MemberForm(request.POST or None)

    if form.is_valid():
        try:
            services.add_member(
                population=population,
                user=form.cleaned_data["username"],
                role=form.cleaned_data["role"],
            )
        except PopulationsError as error:
            form.add_error("username", str(error))
        else:
            return redirect("populations:member-list", slug=slug)

    return member_page(request, population, form)


@require_POST
@login_required
def member_edit(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_administration(request.user, slug)
    membership = get_object_or_404(Membership, population=population, pk=pk)

    form = RoleForm(request.POST)

    if form.is_valid():
        try:
            services.change_role(membership=membership, role=form.cleaned_data["role"])
        except PopulationsError as error:
            messages.error(request, str(error))

    return redirect("populations:member-list", slug=slug)


@require_POST
@login_required
def member_remove(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    population = access.population_for_administration(request.user, slug)
    membership = get_object_or_404(Membership, population=population, pk=pk)

    try:
        services.remove_member(membership=membership)
    except PopulationsError as error:
        messages.error(request, str(error))

    return redirect("populations:member-list", slug=slug)


def member_page(
    request: AuthenticatedRequest, population: Population, form: MemberForm
) -> HttpResponse:
    context = {
        "population": population,
        "section": "settings",
        "form": form,
        "members": queries.members_of(population),
        "roles": Membership.Role.choices,
    }
    return render(
        request,
        "populations/member_list.html",
        context,
        status=422 if form.is_bound else 200,
    )
