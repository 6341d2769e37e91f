"""URLs under /populations/ of people, photographs, imports and the catalogue."""

from __future__ import annotations

from django.urls import path

from populations.detection_urls import detection_urls
from populations.views import (
    encounters,
    imports,
    individuals,
    media,
    overview,
    people,
    photos,
)

app_name = "populations"

# A population's slug may be none of these: see `RESERVED_SLUGS` in the services.
population_urls = [
    path("", people.population_list, name="population-list"),
    path("new/", people.population_create, name="population-create"),
    path("demo/", people.demo_create, name="demo-create"),
    path("code-check/", people.code_check, name="code-check"),
    path("<slug:slug>/", overview.population_overview, name="population-overview"),
    path(
        "<slug:slug>/settings/", people.population_settings, name="population-settings"
    ),
    path(
        "<slug:slug>/settings/delete/",
        people.population_delete,
        name="population-delete",
    ),
    path("<slug:slug>/settings/members/", people.member_list, name="member-list"),
    path(
        "<slug:slug>/settings/members/<int:pk>/", people.member_edit, name="member-edit"
    ),
    path(
        "<slug:slug>/settings/members/<int:pk>/remove/",
        people.member_remove,
        name="member-remove",
    ),
]
import_urls = [
    path("<slug:slug>/imports/", imports.import_list, name="import-list"),
    path("<slug:slug>/imports/new/", imports.import_create, name="import-create"),
    path("<slug:slug>/imports/<int:pk>/", imports.import_detail, name="import-detail"),
    path(
        "<slug:slug>/imports/<int:pk>/files/", imports.import_files, name="import-files"
    ),
    path(
        "<slug:slug>/imports/<int:pk>/preview/",
        imports.import_preview,
        name="import-preview",
    ),
    path(
        "<slug:slug>/imports/<int:pk>/start/", imports.import_start, name="import-start"
    ),
    path(
        "<slug:slug>/imports/<int:pk>/retry/", imports.import_retry, name="import-retry"
    ),
    path(
        "<slug:slug>/imports/<int:pk>/discard/",
        imports.import_discard,
        name="import-discard",
    ),
    path(
        "<slug:slug>/imports/<int:pk>/outcomes.csv",
        imports.import_outcomes,
        name="import-outcomes",
    ),
]
photo_urls = [
    path("<slug:slug>/photos/", photos.photo_list, name="photo-list"),
    path("<slug:slug>/photos/<int:pk>/", photos.photo_detail, name="photo-detail"),
    path(
        "<slug:slug>/photos/<int:pk>/file/<str:size>/",
        media.photo_file,
        name="photo-file",
    ),
]
catalogue_urls = [
    path("<slug:slug>/encounters/", encounters.encounter_list, name="encounter-list"),
    path(
        "<slug:slug>/encounters/<int:pk>/",
        encounters.encounter_detail,
        name="encounter-detail",
    ),
    path(
        "<slug:slug>/individuals/", individuals.individual_list, name="individual-list"
    ),
    path(
        "<slug:slug>/individuals/<int:pk>/",
        individuals.individual_detail,
        name="individual-detail",
    ),
    path(
        "<slug:slug>/individuals/<int:pk>/edit/",
        individuals.individual_edit,
        name="individual-edit",
    ),
]

urlpatterns = [
    *population_urls,
    *import_urls,
    *photo_urls,
    *catalogue_urls,
    *detection_urls,
]
