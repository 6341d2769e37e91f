"""The rendering of the demo population as a job."""

from __future__ import annotations

from finwave.jobs.running import JobRun
from populations.models import Population
from populations.services import demo


def run_demo(run: JobRun) -> None:
    population = Population.objects.filter(pk=run.subject_id, is_demo=True).first()
    if population is not None:
        demo.build_demo(run, population)
