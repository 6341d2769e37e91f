"""WebSocket routes of the whole project."""

from __future__ import annotations

from finwave.jobs.routing import websocket_urlpatterns

__all__ = ["websocket_urlpatterns"]
