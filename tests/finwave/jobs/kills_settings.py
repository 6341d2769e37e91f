"""Settings of the killing tests: finwave's own, with a small app and short intervals."""

from __future__ import annotations

from finwave.settings import *  # noqa: F403 -- everything is finwave's but what follows
from finwave.settings import Q_CLUSTER as _Q_CLUSTER

# No page is served but those of jobs, and no other app's work is needed.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_q",
    "finwave",
    "finwave.jobs",
    "tests.finwave.jobs.kills_app",
]
MIDDLEWARE = []
ROOT_URLCONF = "tests.finwave.jobs.kills_app.urls"
DEBUG = True  # static files need not be collected
Q_CLUSTER = {
    **_Q_CLUSTER,
    "ALT_CLUSTERS": {
        "cpu": {"workers": 2, "queue_limit": 2},
        "train": {"workers": 1, "queue_limit": 1},
    },
}
FINWAVE_JOB_HEARTBEAT_S = 0.5
FINWAVE_JOB_LEASE_S = 5
FINWAVE_JOB_RECONCILE_S = 1
FINWAVE_JOB_GRACE_S = 6
FINWAVE_JOB_STOP_GRACE_S = 20
