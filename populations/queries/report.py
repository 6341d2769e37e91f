"""The quality report: is this population's data fit to train on, and what would help."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from populations.models import Annotation, Encounter, Photo, Population
from populations.models.photos import Side, Tier
from populations.queries.crops import individual_counts

# An individual with fewer crops is named as thin: with a fifth of the encounters held
# back for validation, less leaves a model hardly two views to learn from.
THIN_BELOW = 5
# What the verdict calls healthy: most photographs give a crop, and most individuals
# have several.
HEALTHY_SHARE = 0.6
HEALTHY_INDIVIDUALS = 5
# Below this on its shorter side a crop holds too little of an outline to be matched;
# the report counts such crops.
TINY_PX = 64
# Below this variance of the Laplacian at 256 px a crop counts as blurred. Measured on
# the 86 crops of 107 field photographs of seals: sharp ones lie between 102 and 4086
# (median 720); blurred with a Gaussian of 1.5 px, all lie below 57 (median 15).
BLURRED_BELOW = 60.0

Reason = Photo.TierReason
# Samples per individual: label, lowest, highest.
BINS = (
    ("none", 0, 0),
    ("1", 1, 1),
    ("2 to 4", 2, 4),
    ("5 to 9", 5, 9),
    ("10 to 19", 10, 19),
    ("20 to 49", 20, 49),
    ("50 or more", 50, 10**9),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of a breakdown, its share of the whole, and where its photos are."""

    label: str
    n: int
    share: float
    url: str = ""
    value: str = ""  # the database's word, for the CSV


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do, how many photos or crops it concerns, and where."""

    n: int
    text: str
    why: str
    url: str
    action: str


@dataclass(frozen=True, slots=True)
class Thin:
    pk: int
    code: str
    n: int


@dataclass(frozen=True, slots=True)
class Report:
    n_photos: int
    n_seen: int
    n_crops: int
    n_individuals: int
    n_named: int  # individuals in the catalogue
    tiers: list[Line]
    reasons: list[Line]
    distribution: list[Line]
    thin: list[Thin]
    sides: list[Line]
    encounters: list[Line]
    years: list[Line]
    quality: list[Line]
    verdict: str
    is_healthy: bool
    fixes: list[Fix]

    @property
    def share_used(self) -> float:
        """Share of the photos looked at that give a crop."""
        return (
            sum(line.n for line in self.tiers[:2]) / self.n_seen if self.n_seen else 0
        )


@dataclass(frozen=True, slots=True)
class Crops:
    """The training data, counted."""

    n: int
    n_individuals: int
    sides: Counter[str]
    encounters: Counter[str]
    years: Counter[str]
    n_blurred: int
    n_tiny: int
    n_same: int


def report_of(population: Population) -> Report:
    """Gather the report. Costs a constant number of queries; one reads all crops."""
    photos = Photo.objects.filter(population=population).exclude(
        encounter__origin=Encounter.Origin.ONBOARDED
    )
    by_reason = dict(
        photos.order_by().values_list("tier_reason").annotate(n=Count("pk"))
    )
    by_tier = dict(photos.order_by().values_list("tier").annotate(n=Count("pk")))
    crops = count_crops(population)
    per_individual = [Thin(*row) for row in individual_counts(population)]
    n_unseen = by_tier.pop(None, 0)
    n_seen = sum(by_tier.values())
    thin = [row for row in per_individual if row.n < THIN_BELOW]
    lines = Lines(population)
    report = Report(
        n_photos=n_seen + n_unseen,
        n_seen=n_seen,
        n_crops=crops.n,
        n_individuals=crops.n_individuals,
        n_named=len(per_individual),
        tiers=lines.tiers(by_tier, n_seen),
        reasons=lines.reasons(by_reason, by_tier.get(Tier.THREE, 0)),
        distribution=lines.distribution(per_individual),
        thin=thin,
        sides=lines.sides(crops),
        encounters=lines.counted(crops.encounters, crops.n),
        years=lines.by_name(crops.years, crops.n),
        quality=lines.quality(crops),
        verdict="",
        is_healthy=False,
        fixes=[],
    )
    return judged(report, lines.fixes(by_reason, n_unseen, thin, crops, population))


def count_crops(population: Population) -> Crops:
    rows = list(
        Annotation.objects.for_population(population)
        .training_data()
        .order_by()
        .values_list(
            "individual_id",
            "side",
            "photo__encounter__name",
            "photo__encounter__date_on",
            "photo__taken_at",
            "sharpness",
            "crop_width_px",
            "crop_height_px",
            "crop_sha256",
        )
    )
    hashes = Counter(row[8] for row in rows if row[8])
    return Crops(
        n=len(rows),
        n_individuals=len({row[0] for row in rows}),
        sides=Counter(row[1] for row in rows),
        encounters=Counter(row[2] or "Without an encounter" for row in rows),
        years=Counter(year_of(row[4], row[3]) for row in rows),
        n_blurred=sum(row[5] is not None and row[5] < BLURRED_BELOW for row in rows),
        n_tiny=sum(0 < min(row[6], row[7]) < TINY_PX for row in rows),
        n_same=sum(n - 1 for n in hashes.values()),
    )


def year_of(taken_at: datetime | None, date_on: date | None) -> str:
    if date_on:
        return str(date_on.year)
    return str(timezone.localtime(taken_at).year) if taken_at else "Unknown"


class Lines:
    """Turns counts into lines that link to the photos they count."""

    def __init__(self, population: Population) -> None:
        self.slug = population.slug

    def photos(self, **chosen: str) -> str:
        address = reverse("populations:photo-list", args=[self.slug])
        return f"{address}?{urlencode(chosen)}"

    def crops(self, **chosen: str) -> str:
        address = reverse("populations:crop-list", args=[self.slug])
        return f"{address}?{urlencode(chosen)}"

    def tiers(self, by_tier: dict[int, int], n_all: int) -> list[Line]:
        return [
            Line(
                tier.label,
                by_tier.get(tier.value, 0),
                share(by_tier.get(tier.value, 0), n_all),
                self.photos(tier=str(tier.value)),
                str(tier.value),
            )
            for tier in Tier
        ]

    def reasons(self, by_reason: dict[str, int], n_all: int) -> list[Line]:
        found = [
            Line(
                reason.label,
                by_reason[reason.value],
                share(by_reason[reason.value], n_all),
                self.photos(tier="3", reason=reason.value),
                reason.value,
            )
            for reason in IN_TIER_3
            if by_reason.get(reason.value)
        ]
        return sorted(found, key=lambda line: -line.n)

    def distribution(self, individuals: list[Thin]) -> list[Line]:
        return [
            Line(label, n, share(n, len(individuals)))
            for label, low, high in BINS
            for n in [sum(low <= row.n <= high for row in individuals)]
        ]

    def sides(self, crops: Crops) -> list[Line]:
        return [
            Line(
                Side(side).label,
                n,
                share(n, crops.n),
                self.crops(side=side),
                side,
            )
            for side, n in crops.sides.most_common()
        ]

    def counted(self, counts: Counter[str], n_all: int) -> list[Line]:
        return [Line(name, n, share(n, n_all)) for name, n in counts.most_common()]

    def by_name(self, counts: Counter[str], n_all: int) -> list[Line]:
        return [Line(name, n, share(n, n_all)) for name, n in sorted(counts.items())]

    def quality(self, crops: Crops) -> list[Line]:
        return [
            Line(
                "Blurred",
                crops.n_blurred,
                share(crops.n_blurred, crops.n),
                self.crops(order="blurred"),
                "blurred",
            ),
            Line(
                f"Smaller than {TINY_PX} px",
                crops.n_tiny,
                share(crops.n_tiny, crops.n),
                self.crops(order="small"),
                "tiny",
            ),
            Line(
                "The same picture again",
                crops.n_same,
                share(crops.n_same, crops.n),
                "",
                "same",
            ),
        ]

    def fixes(
        self,
        by_reason: dict[str, int],
        n_unseen: int,
        thin: list[Thin],
        crops: Crops,
        population: Population,
    ) -> list[Fix]:
        """Return what would help, the largest gain first; nothing that concerns none."""
        start = reverse("populations:detection-run-create", args=[self.slug])
        undecided = by_reason.get(Reason.NOT_DOMINANT, 0) + by_reason.get(
            Reason.BELOW_THRESHOLD, 0
        )
        n_nameless = unnamed_crops(population)
        codes = ", ".join(row.code for row in thin[:5]) + (
            f" and {len(thin) - 5} more" if len(thin) > 5 else ""
        )
        fixes = [
            Fix(
                n_unseen,
                "Look at the photographs that no detector has seen",
                "They count for nothing until then.",
                start,
                "Start detection",
            ),
            Fix(
                by_reason.get(Reason.NOT_DOMINANT, 0),
                "Choose the labelled animal where several are equally prominent",
                "One click on the right box makes each a crop.",
                self.photos(tier="3", reason=Reason.NOT_DOMINANT.value),
                "Show these photographs",
            ),
            Fix(
                by_reason.get(Reason.BELOW_THRESHOLD, 0),
                "Choose the labelled animal where none is prominent enough",
                "One click on the right box makes each a crop.",
                self.photos(tier="3", reason=Reason.BELOW_THRESHOLD.value),
                "Show these photographs",
            ),
            Fix(
                undecided if undecided >= 20 else 0,
                "Or move the threshold",
                "The page shows what would change before anything does.",
                reverse("populations:threshold-edit", args=[self.slug]),
                "Try thresholds",
            ),
            Fix(
                by_reason.get(Reason.NOTHING_DETECTED, 0),
                "See why nothing was detected",
                "Another detector or a lower confidence may find the animal; photographs "
                "without one can stay as they are.",
                self.photos(tier="3", reason=Reason.NOTHING_DETECTED.value),
                "Show these photographs",
            ),
            Fix(
                by_reason.get(Reason.SEVERAL_LABELS, 0),
                "Say which animal is which where several are named",
                "Each box that is chosen becomes a crop of its own.",
                self.photos(tier="3", reason=Reason.SEVERAL_LABELS.value),
                "Show these photographs",
            ),
            Fix(
                by_reason.get(Reason.UNREADABLE, 0),
                "Replace the photographs that could not be read",
                "Their files are damaged or missing.",
                self.photos(tier="3", reason=Reason.UNREADABLE.value),
                "Show these photographs",
            ),
            Fix(
                sum(THIN_BELOW - row.n for row in thin),
                f"Find more photographs of {len(thin)} "
                f"{'individual' if len(thin) == 1 else 'individuals'}: {codes}",
                f"With fewer than {THIN_BELOW} crops an individual is hard to learn and "
                "cannot be tested.",
                self.crops(order="thin"),
                "Show their crops",
            ),
            Fix(
                n_nameless,
                "Say whom the crops without a name show",
                "A crop teaches nothing until it has a name.",
                self.crops(order="new"),
                "Show crops",
            ),
            Fix(
                crops.n_blurred,
                "Look through the blurred crops and drop the worst",
                "A model learns the blur instead of the marks.",
                self.crops(order="blurred"),
                "Show blurred crops",
            ),
            Fix(
                crops.n_tiny,
                f"Look through the crops smaller than {TINY_PX} px",
                "Hardly a mark can be seen on them.",
                self.crops(order="small"),
                "Show small crops",
            ),
        ]
        return sorted((f for f in fixes if f.n), key=lambda fix: -fix.n)


IN_TIER_3 = (
    Reason.NOTHING_DETECTED,
    Reason.NOT_DOMINANT,
    Reason.BELOW_THRESHOLD,
    Reason.SEVERAL_LABELS,
    Reason.UNREADABLE,
    Reason.DROPPED,
)


def unnamed_crops(population: Population) -> int:
    return (
        Annotation.objects.for_population(population)
        .kept()
        .filter(individual__isnull=True)
        .filter(~Q(photo__encounter__origin=Encounter.Origin.ONBOARDED))
        .count()
    )


def share(n: int, n_all: int) -> float:
    return n / n_all if n_all else 0.0


def judged(report: Report, fixes: list[Fix]) -> Report:
    """Return the report with its verdict in plain words."""
    n_several = report.n_named - len(report.thin)
    is_healthy = (
        report.share_used >= HEALTHY_SHARE
        and report.n_individuals >= HEALTHY_INDIVIDUALS
        and 2 * n_several >= report.n_named
    )
    fields = {name: getattr(report, name) for name in Report.__slots__}
    fields |= {
        "verdict": verdict_of(report, n_several, is_healthy),
        "is_healthy": is_healthy,
        "fixes": fixes,
    }
    return Report(**fields)


def verdict_of(report: Report, n_several: int, is_healthy: bool) -> str:
    if not report.n_photos:
        return "There are no photographs yet."
    if not report.n_seen:
        return "No detector has looked at the photographs yet."
    facts = (
        f"{round(100 * report.share_used)} % of the photographs give a crop; "
        f"{report.n_individuals} individuals have crops, {n_several} of them at least "
        f"{THIN_BELOW}."
    )
    if is_healthy:
        return f"This is a healthy set. {facts}"
    if report.n_individuals < 2:
        return f"This set cannot be trained on yet: it needs two individuals. {facts}"
    if report.share_used < HEALTHY_SHARE:
        return f"Many photographs are not used yet. {facts}"
    if report.n_individuals < HEALTHY_INDIVIDUALS:
        return f"There are few individuals to tell apart. {facts}"
    return f"Most individuals have too few crops. {facts}"


def csv_rows(report: Report) -> list[list[str | int | float]]:
    """Return the report as rows of section, item, count and share."""
    rows: list[list[str | int | float]] = [["section", "item", "count", "share"]]
    for section, lines in (
        ("tier", report.tiers),
        ("tier 3 reason", report.reasons),
        ("individuals by crops", report.distribution),
        ("side", report.sides),
        ("encounter", report.encounters),
        ("year", report.years),
        ("quality", report.quality),
    ):
        rows.extend(
            [section, harmless(line.label), line.n, round(line.share, 4)]
            for line in lines
        )
    rows.extend(
        ["thin individual", harmless(row.code), row.n, ""] for row in report.thin
    )
    return rows


def harmless(text: str) -> str:
    """Keep a spreadsheet from taking a name for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
