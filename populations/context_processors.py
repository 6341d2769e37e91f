"""What every page's frame needs: the populations to switch between."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from populations.models import Population


def navigation(request: HttpRequest) -> dict[str, object]:
    """Return the populations visible to the user, read only when the rail is drawn."""

    def visible() -> list[Population]:
        if not request.user.is_authenticated:
            return []
        return list(Population.objects.visible_to(request.user).only("name", "slug"))

    return {"nav_populations": SimpleLazyObject(visible)}
