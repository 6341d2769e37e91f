"""The review of an encounter: one animal, its candidates, and the queue around it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from populations.models import (
    Annotation,
    Encounter,
    Individual,
    Population,
    Sighting,
)
from snapshots.models import (
    Deployment,
    Identification,
    Onboarding,
    OnboardingFile,
    Suggestion,
)
from snapshots.queries.deployments import active_deployment

N_KEYS = 5  # candidates that have a key of their own
STRIP = 6  # further crops shown of a candidate
N_TROUBLES = 100  # files named that brought nothing
N_CODES = 1000  # codes offered while one is typed
WINDOW = 9  # animals of the queue shown around the present one


@dataclass(frozen=True, slots=True)
class Candidate:
    """One suggested individual with the crops to look at."""

    suggestion: Suggestion
    best: Annotation | None
    strip: list[Annotation]
    key: int
    is_after_new: bool  # a new individual is likelier, and no one between says so

    @property
    def percent(self) -> int:
        return round(100 * (self.suggestion.probability or 0))

    @property
    def words(self) -> str:
        return probability_words(self.suggestion.probability)


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the present animal stands among those of the encounter."""

    n_total: int
    n_answered: int
    window: list[Sighting]
    previous: int | None
    following: int | None

    @property
    def n_waiting(self) -> int:
        return self.n_total - self.n_answered

    @property
    def percent(self) -> int:
        return 100 * self.n_answered // self.n_total if self.n_total else 0


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that the page shows of one animal."""

    sighting: Sighting | None
    crops: list[Annotation]
    candidates: list[Candidate]
    new: Suggestion | None
    queue: Queue
    others: list[Sighting]  # animals it may be merged with
    last: Identification | None  # the answer that U takes back
    answer: Identification | None  # how this animal was answered
    deployment: Deployment | None
    is_outdated: bool  # suggested by a model that is not deployed any more

    @property
    def boxes(self) -> list[dict[str, float | str]]:
        """Return the best crop's box for the drawing over the whole photo."""
        return [
            {"x1": c.x1, "y1": c.y1, "x2": c.x2, "y2": c.y2, "label": c.category}
            for c in self.crops[:1]
        ]


def review_of(encounter: Encounter, number: int | None) -> Review:
    """Gather the page; its queries do not grow with animals or candidates."""
    sightings = list(encounter.sightings.select_related("individual"))
    sighting = _present(sightings, number)
    suggestions = _suggestions(sighting)
    deployment = active_deployment(encounter.population_id)
    first = suggestions[0] if suggestions else None
    return Review(
        sighting=sighting,
        crops=_crops(sighting),
        candidates=_candidates(suggestions),
        new=next((row for row in suggestions if row.individual is None), None),
        queue=_queue(sightings, sighting),
        others=[
            other
            for other in sightings
            if other != sighting and other.status != Sighting.Status.CONFIRMED
        ][:50],
        last=_last(encounter),
        answer=_answer(sighting),
        deployment=deployment,
        is_outdated=bool(first and deployment and first.deployment_id != deployment.pk),
    )


def probability_words(probability: float | None) -> str:
    if probability is None:
        return "not calibrated"
    for least, words in ((0.95, "very likely"), (0.7, "likely"), (0.3, "possible")):
        if probability >= least:
            return words
    return "unlikely"


def _present(sightings: list[Sighting], number: int | None) -> Sighting | None:
    for sighting in sightings:
        if sighting.number == number:
            return sighting
    waiting = (s for s in sightings if s.status == Sighting.Status.WAITING)
    skipped = (s for s in sightings if s.status == Sighting.Status.SKIPPED)
    return next(waiting, None) or next(skipped, None) or next(iter(sightings), None)


def _suggestions(sighting: Sighting | None) -> list[Suggestion]:
    if sighting is None:
        return []
    return list(sighting.suggestions.select_related("individual", "best_match__photo"))


def _crops(sighting: Sighting | None) -> list[Annotation]:
    if sighting is None:
        return []
    return list(
        Annotation.objects.kept()
        .filter(sighting=sighting)
        .select_related("photo", "individual")
        .order_by("-sharpness", "pk")
    )


def _candidates(suggestions: list[Suggestion]) -> list[Candidate]:
    known = [row for row in suggestions if row.individual_id]
    calibrated_new = {
        row.rank
        for row in suggestions
        if row.individual_id is None and row.probability is not None
    }
    shown: dict[int, list[Annotation]] = defaultdict(list)
    crops = (
        Annotation.objects.training_data()
        .filter(individual__in=[row.individual_id for row in known])
        .cut_out()
        .order_by("-sharpness", "pk")
    )
    for crop in crops.select_related("photo")[: 40 * N_KEYS] if known else ():
        shown[crop.individual_id or 0].append(crop)
    candidates = []
    for key, row in enumerate(known[:N_KEYS], start=1):
        strip = shown[row.individual_id or 0]
        best = row.best_match or next(iter(strip), None)
        rest = [crop for crop in strip if crop != best][:STRIP]
        candidates.append(
            Candidate(
                suggestion=row,
                best=best,
                strip=rest,
                key=key,
                is_after_new=row.rank - 1 in calibrated_new,
            )
        )
    return candidates


def _queue(sightings: list[Sighting], sighting: Sighting | None) -> Queue:
    answered = sum(s.status == Sighting.Status.CONFIRMED for s in sightings)
    if sighting is None:
        return Queue(0, 0, [], None, None)
    place = sightings.index(sighting)
    start = max(0, min(place - WINDOW // 2, len(sightings) - WINDOW))
    return Queue(
        n_total=len(sightings),
        n_answered=answered,
        window=sightings[start : start + WINDOW],
        previous=sightings[place - 1].number if place else None,
        following=sightings[place + 1].number if place + 1 < len(sightings) else None,
    )


def _last(encounter: Encounter) -> Identification | None:
    return (
        Identification.objects.filter(sighting__encounter=encounter, undone_at=None)
        .select_related("sighting", "individual")
        .order_by("-pk")
        .first()
    )


def _answer(sighting: Sighting | None) -> Identification | None:
    if sighting is None:
        return None
    return (
        Identification.objects.filter(sighting=sighting, undone_at=None)
        .select_related("individual", "answered_by")
        .order_by("-pk")
        .first()
    )


def next_waiting(sighting: Sighting) -> Sighting | None:
    """Return the next animal without an answer, from this one on and round again."""
    waiting = sighting.encounter.sightings.filter(
        status=Sighting.Status.WAITING
    ).exclude(pk=sighting.pk)
    return waiting.filter(number__gt=sighting.number).first() or waiting.first()


def troubles(onboarding: Onboarding | None) -> list[OnboardingFile]:
    """Return the uploaded files that brought no photo of their own, and why."""
    if onboarding is None:
        return []
    outcomes = (OnboardingFile.Outcome.REFUSED, OnboardingFile.Outcome.DUPLICATE)
    return list(onboarding.files.filter(outcome__in=outcomes)[:N_TROUBLES])


def codes(population: Population) -> list[str]:
    """Return codes to offer while one is typed; the server knows them all."""
    individuals = Individual.objects.filter(population=population)
    return list(individuals.values_list("code", flat=True)[:N_CODES])
