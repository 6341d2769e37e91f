from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.files.storage import default_storage
from django.http import Http404, HttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from finwave.http import AuthenticatedRequest
from populations import access
from populations.queries import media as queries
from populations.queries.media import Picture

# The content behind such an address never changes, but who may see it does: kept by
# the browser, by nobody in between.
CACHE_FOR_EVER = "private, max-age=31536000, immutable"


@require_GET
@login_required
def photo_file(
    request: AuthenticatedRequest, slug: str, pk: int, size: str
) -> HttpResponse:
    population = access.population_for(request.user, slug)
    photo = access.photo_in(population, pk)

    picture = queries.picture_of(photo, size)

    return answer_with(picture)


def answer_with(picture: Picture | None) -> HttpResponse:
    """Answer with a stored picture, or 404 if it is not there."""
    if picture is None:
        raise Http404
    try:
        with default_storage.open(picture.name) as file:
            content = file.read()
    except FileNotFoundError as error:
        raise Http404 from error
    response = HttpResponse(content, content_type=picture.content_type)
    response["Cache-Control"] = CACHE_FOR_EVER
    response["X-Content-Type-Options"] = "nosniff"
    disposition = content_disposition_header(True, picture.download_as)
    if picture.download_as and disposition:
        response["Content-Disposition"] = disposition
    return response
