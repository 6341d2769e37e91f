"""WebSocket routes of jobs."""

from __future__ import annotations

from django.urls import path

from finwave.jobs.consumers import JobConsumer

websocket_urlpatterns = [path("ws/jobs/<int:pk>/", JobConsumer.as_asgi())]
