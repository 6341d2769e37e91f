"""A season of rendered photo-identification: who was where, photographed how often.

Known animals in several encounters with labels, and later encounters without, in which
there are also animals that nobody has seen before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

import numpy as np

from finwave.ml.rendering.conditions import LIGHTS, Conditions, Light
from finwave.ml.rendering.fins import FinShape, render_individual
from finwave.ml.rendering.scenes import jpeg_bytes, render_scene

N_INDIVIDUALS = 14
N_NEW_INDIVIDUALS = 2
# Day, light, and how many of the known animals were there.
ENCOUNTERS: tuple[tuple[date, Light, int], ...] = (
    (date(2024, 5, 18), "bright", 11),
    (date(2024, 6, 9), "overcast", 10),
    (date(2024, 7, 21), "bright", 11),
    (date(2024, 9, 2), "dusk", 9),
    (date(2025, 5, 11), "overcast", 11),
    (date(2025, 6, 27), "bright", 10),
)
NEW_ENCOUNTERS: tuple[tuple[date, Light, int], ...] = (
    (date(2025, 8, 3), "bright", 8),
    (date(2025, 8, 30), "overcast", 8),
)
N_GROUPS, N_SEVERAL, N_EMPTY = 9, 4, 6  # per encounter
N_EMPTY_NEW = 2


@dataclass(frozen=True, slots=True)
class PlannedPhoto:
    """One photo to render, and what the catalogue says about it."""

    path: str  # relative, forward slashes
    encounter: str
    taken_at: datetime
    labels: tuple[str, ...]  # codes that the team wrote down; none if nobody looked
    animals: tuple[str, ...]  # codes of all that are in the picture
    conditions: Conditions
    seed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """All photos of the season."""

    seed: int
    codes: tuple[str, ...]  # of the catalogued animals
    labelled: tuple[PlannedPhoto, ...]
    new: tuple[PlannedPhoto, ...]  # photos of the encounters that come later


def code_of(number: int) -> str:
    return f"RD-{number + 1:02d}"


@lru_cache(maxsize=64)
def animal(seed: int, code: str) -> FinShape:
    """Return the animal with this code; the same in all its photos."""
    return render_individual(seed * 100 + int(code.removeprefix("RD-")))


def plan_survey(*, seed: int = 1, n_individuals: int = N_INDIVIDUALS) -> Survey:
    """Decide every photo of the season; renders nothing."""
    rng = np.random.default_rng((seed, 77))
    codes = tuple(code_of(n) for n in range(n_individuals))
    labelled: list[PlannedPhoto] = []
    for number, (day, light, n_present) in enumerate(ENCOUNTERS):
        # Each animal is left out in turn, so that all come to several encounters.
        n_absent = max(n_individuals - n_present, 0)
        absent = {(number * 4 + i * 3) % n_individuals for i in range(n_absent)}
        present = [code for n, code in enumerate(codes) if n not in absent]
        outing = _Outing(day, light, seed, number, rng)
        labelled += outing.labelled(present)
    new: list[PlannedPhoto] = []
    for number, (day, light, n_present) in enumerate(NEW_ENCOUNTERS):
        known = [codes[int(i)] for i in rng.permutation(n_individuals)[: n_present - 1]]
        stranger = code_of(n_individuals + number % N_NEW_INDIVIDUALS)
        outing = _Outing(day, light, seed, len(ENCOUNTERS) + number, rng)
        new += outing.unlabelled([*known, stranger])
    return Survey(seed, codes, tuple(labelled), tuple(new))


class _Outing:
    """One encounter in the making: its weather, its clock, its file names."""

    def __init__(
        self, day: date, light: Light, seed: int, number: int, rng: np.random.Generator
    ) -> None:
        assert light in LIGHTS
        self.name = f"{day:%Y-%m-%d}"
        self.rng = rng
        self.seed = (seed, 1000 + number)
        self.weather = Conditions.draw(rng, light=light)
        self.clock = datetime(day.year, day.month, day.day, 9, 10)
        self.n_photos = 0
        self.first_file = int(rng.integers(1200, 8200))

    def labelled(self, present: list[str]) -> list[PlannedPhoto]:
        photos = []
        for code in present:
            side = self.flank()
            for _ in range(int(self.rng.integers(2, 5))):
                photos.append(self.photo((code,), labels=(code,), side=side))
        for _ in range(N_GROUPS):
            group = self.some(present, int(self.rng.integers(2, 4)))
            photos.append(self.photo(group, labels=group[:1], has_focal=True))
        for _ in range(N_SEVERAL):
            group = self.some(present, int(self.rng.integers(2, 4)))
            photos.append(self.photo(group, labels=group))
        for _ in range(N_EMPTY):
            photos.append(
                self.photo((), labels=(), n_distractors=int(self.rng.integers(0, 3)))
            )
        return photos

    def unlabelled(self, present: list[str]) -> list[PlannedPhoto]:
        photos = []
        for code in present:
            side = self.flank()
            for _ in range(int(self.rng.integers(2, 5))):
                photos.append(self.photo((code,), labels=(), side=side))
        group = self.some(present, 2)
        photos.append(self.photo(group, labels=()))
        for _ in range(N_EMPTY_NEW):
            photos.append(self.photo((), labels=(), n_distractors=1))
        return photos

    def some(self, codes: list[str], n: int) -> tuple[str, ...]:
        return tuple(codes[int(i)] for i in self.rng.permutation(len(codes))[:n])

    def flank(self) -> str:
        return "left" if self.rng.random() < 0.5 else "right"

    def photo(
        self,
        animals: tuple[str, ...],
        *,
        labels: tuple[str, ...],
        side: str = "",
        has_focal: bool = False,
        n_distractors: int | None = None,
    ) -> PlannedPhoto:
        self.clock += timedelta(seconds=int(self.rng.integers(4, 160)))
        self.n_photos += 1
        # The weather stays; place, lens, and the moment change.
        moment = Conditions.draw(self.rng, light=self.weather.light)
        conditions = moment.with_(
            palette=self.weather.palette,
            roughness=self.weather.roughness * float(self.rng.uniform(0.85, 1.15)),
            wind=self.weather.wind + float(self.rng.normal(0, 0.15)),
            haze=self.weather.haze,
            whitecaps=self.weather.whitecaps,
            sun=self.weather.sun + float(self.rng.normal(0, 0.4)),
            sun_height=self.weather.sun_height,
            fin_height_px=float(np.exp(self.rng.normal(np.log(118), 0.36))),
            side=side or self.flank(),
            has_focal=has_focal,
            n_distractors=moment.n_distractors
            if n_distractors is None
            else n_distractors,
        )
        return PlannedPhoto(
            path=f"{self.name}/IMG_{self.first_file + self.n_photos:04d}.jpg",
            encounter=self.name,
            taken_at=self.clock,
            labels=labels,
            animals=animals,
            conditions=conditions,
            seed=(*self.seed, self.n_photos),
        )


def render_photo(photo: PlannedPhoto, *, survey_seed: int = 1) -> bytes:
    """Return one planned photo as a JPEG."""
    fins = [animal(survey_seed, code) for code in photo.animals]
    rng = np.random.default_rng(photo.seed)
    scene = render_scene(fins, rng, photo.conditions)
    taken_at = f"{photo.taken_at:%Y:%m:%d %H:%M:%S}"
    return jpeg_bytes(scene, photo.conditions, taken_at=taken_at)


def label_rows(photos: Iterable[PlannedPhoto]) -> list[dict[str, str]]:
    """Return the rows of the labels' CSV: what the field team wrote down."""
    return [
        {
            "filename": photo.path,
            "individual": ";".join(photo.labels),
            "encounter": photo.encounter,
            "date": f"{photo.taken_at:%Y-%m-%d}",
            "side": photo.conditions.side if photo.labels else "",
            "photographer": "finwave (rendered)",
        }
        for photo in photos
    ]
