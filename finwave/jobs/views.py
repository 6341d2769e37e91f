from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseStopPolling

from finwave.http import AuthenticatedRequest
from finwave.jobs import access, kinds, services
from finwave.jobs.exceptions import JobNotStoppable
from finwave.jobs.forms import JobListForm
from finwave.jobs.models import Job

# The rail has room for a few; the rest waits in the same queue.
LIST_LENGTH = 10


@require_GET
@login_required
def job_list(request: AuthenticatedRequest) -> HttpResponse:
    form = JobListForm(request.GET)
    if not form.is_valid():
        raise Http404

    jobs = Job.objects.unfinished().in_scope(form.cleaned_data["scope"])
    visible = access.visible_jobs(request.user, jobs.order_by("pk"))

    context = {"jobs": visible[:LIST_LENGTH], "n_more": len(visible[LIST_LENGTH:])}
    return render(request, "jobs/job_list.html", context)


@require_GET
@login_required
def job_progress(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    job = access.job_for(request.user, pk)

    response = render(request, "components/job_progress.html", {"job": job})
    if job.is_finished:
        return HttpResponseStopPolling(response.content)
    return response


@require_POST
@login_required
def job_stop(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    job = access.job_for_stopping(request.user, pk)

    try:
        services.stop_job(job, request.user)
    except JobNotStoppable as err:
        messages.info(request, str(err))

    if request.htmx:
        return render(request, "components/job_progress.html", {"job": job})
    return redirect(kinds.get(job.kind).page(job))
