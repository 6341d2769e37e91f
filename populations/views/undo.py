"""Offering to take a decision back, and going back to the page it was made on."""

from __future__ import annotations

from django.contrib import messages
from django.core.signing import dumps
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from finwave.http import AuthenticatedRequest
from populations.forms.crops import UNDO_SALT
from populations.models import Photo, Population
from populations.services.decisions import Before


def offer_undo(
    request: AuthenticatedRequest, population: Population, before: Before, text: str
) -> None:
    """Say what was done, with a button that takes it back."""
    context = {
        "population": population,
        "text": text,
        "before": dumps(before, salt=UNDO_SALT),
        "next": request.POST.get("next", ""),
    }
    message = render_to_string("populations/_undo.html", context, request)
    messages.success(request, message)


def back_to(
    request: AuthenticatedRequest, population: Population, photo: Photo | None
) -> str:
    """Return the page to go on with: the one asked for, else the photo's."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    if photo is not None:
        return reverse("populations:photo-detail", args=[population.slug, photo.pk])
    return reverse("populations:crop-list", args=[population.slug])
