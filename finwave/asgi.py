"""ASGI entry: pages over HTTP, live events over WebSockets."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

from finwave.jobs import tether

tether.watch_parent()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finwave.settings")
# Before the consumers are imported: this call sets up the apps they need.
django_application = get_asgi_application()

from finwave.routing import websocket_urlpatterns  # noqa: E402 -- see above

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)
