"""The stations of the overview's path, to which later apps add without being known.

An app further right (snapshots, training) registers in its `AppConfig.ready`:

    from populations import stations
    stations.register(stations.MODEL, "training.queries.station")

where `training.queries.station(population: Population) -> Contribution` returns the
figures to show at that station and, if something is to be done there next, the step:

    return Contribution(
        figures=(Figure(3, "training jobs"),),
        url=reverse("training:job-list", args=[population.slug]),
        step=Step("Train a model", reverse("training:job-create", args=[…])),
    )

Several apps may contribute to one station: their figures stand side by side in the
order of registration. The overview takes the first step it meets on the way from
photographs to encounters, so a contribution need not ask whether an earlier station is
done. A contribution must cost a constant number of queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from populations.models import Population

PHOTOS = "photos"
TRAINING_DATA = "training-data"
INDIVIDUALS = "individuals"
MODEL = "model"
ENCOUNTERS = "encounters"


@dataclass(frozen=True, slots=True)
class Figure:
    value: int | str
    label: str
    tier: int | None = None  # draws the figure in the colour of this tier

    @property
    def is_number(self) -> bool:
        return isinstance(self.value, int)


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: a verb with its object, and where."""

    label: str
    url: str
    # The smallest role that may do it (Membership.Role); others are not offered it.
    role: int = 3


@dataclass(frozen=True, slots=True)
class Contribution:
    figures: tuple[Figure, ...] = ()
    url: str = ""
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class Station:
    key: str
    title: str
    icon: str
    figures: tuple[Figure, ...]
    url: str
    step: Step | None

    @property
    def is_empty(self) -> bool:
        return not any(figure.value for figure in self.figures)


# In the order of the path: key, title, icon.
PATH = (
    (PHOTOS, "Photographs", "image"),
    (TRAINING_DATA, "Training data", "crop"),
    (INDIVIDUALS, "Individuals", "fish"),
    (MODEL, "Model", "brain-circuit"),
    (ENCOUNTERS, "Encounters to review", "waves"),
)

_contributors: list[tuple[str, str]] = []


def register(station: str, contributor: str) -> None:
    """Let `contributor`, a dotted path, add to a station; safe to repeat."""
    if (station, contributor) not in _contributors:
        _contributors.append((station, contributor))


def stations_of(population: Population) -> list[Station]:
    """Return the five stations with what every app contributed, in their order."""
    gathered: dict[str, list[Contribution]] = {key: [] for key, _, _ in PATH}
    for key, contributor in _contributors:
        contribute = cast(
            "Callable[[Population], Contribution]", import_string(contributor)
        )
        gathered[key].append(contribute(population))
    return [
        Station(
            key=key,
            title=title,
            icon=icon,
            figures=tuple(f for part in gathered[key] for f in part.figures),
            url=next((part.url for part in gathered[key] if part.url), ""),
            step=next((part.step for part in gathered[key] if part.step), None),
        )
        for key, title, icon in PATH
    ]


def next_step(path: list[Station], role: int) -> Step | None:
    """Return the first step on the path, if the role may do it."""
    step = next((station.step for station in path if station.step), None)
    return step if step and role >= step.role else None
