"""Jobs and their events, to look at; the one thing to do is to ask for a stop."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from finwave.admin import ReadOnlyAdmin
from finwave.jobs import services
from finwave.jobs.exceptions import JobNotStoppable
from finwave.jobs.models import Event, Job


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = (
        *("id", "title", "kind", "queue", "status", "progress"),
        *("attempt", "created_by", "created_at", "finished_at"),
    )
    list_display_links = ("id", "title")
    list_filter = ("status", "queue", "kind", "created_at")
    list_select_related = ("created_by",)
    search_fields = ("title", "reason", "kind", "created_by__username")
    date_hierarchy = "created_at"
    actions = ("ask_to_stop",)

    @admin.display(description="progress")
    def progress(self, job: Job) -> str:
        return f"{job.n_done} of {job.n_total} {job.unit}" if job.n_total else "–"

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_job")

    @admin.action(description="Ask to stop", permissions=["stop"])
    def ask_to_stop(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        n_asked = 0
        for job in jobs:
            user = request.user if isinstance(request.user, User) else None
            try:
                services.stop_job(job, user)
                n_asked += 1
            except JobNotStoppable as err:
                self.message_user(request, str(err), messages.WARNING)
        if n_asked:
            self.message_user(request, f"{n_asked} asked to stop.", messages.SUCCESS)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("job", "seq", "kind", "data", "created_at")
    list_filter = ("kind", "created_at")
    list_select_related = ("job",)
    search_fields = ("=job__id", "job__title", "kind")
    ordering = ("-job_id", "-seq")
    # Counting all events of all jobs only for the page's foot takes longer than it.
    show_full_result_count = False
