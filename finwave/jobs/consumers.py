"""The socket of one job: replay after the cursor, then what the hub hands out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from finwave.jobs import access
from finwave.jobs.hub import READ_AT_ONCE, Message, Subscription, hub, read_after

logger = logging.getLogger(__name__)

# Who lost the right to watch, or signed out, is put out so soon.
RECHECK_S = 10.0
# Messages sent but not acknowledged: daphne would buffer any amount for a slow client.
WINDOW = 500
ACKNOWLEDGE_S = 30.0
LAGGING, BROKEN = 1012, 1011


class JobConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # untyped library
    pump: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        # A refusal of the handshake would not tell the browser why.
        await self.accept()
        after = parse_qs(self.scope["query_string"]).get(b"after", [b"0"])[0]
        self.cursor = self.acknowledged = int(after[:18]) if after.isdigit() else 0
        self.job_id = int(self.scope["url_route"]["kwargs"]["pk"])
        self.heard = asyncio.Event()
        self.pump = asyncio.create_task(self.run())

    async def disconnect(self, code: int) -> None:
        if self.pump is not None:
            self.pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.pump

    async def receive(self, text_data: str = "", **kwargs: Any) -> None:
        if text_data.isdigit():
            self.acknowledged = max(self.acknowledged, int(text_data[:18]))
            self.heard.set()

    async def run(self) -> None:
        subscription = Subscription(self.job_id, asyncio.get_running_loop())
        try:
            code = await self.check()
            if not code:
                await database_sync_to_async(hub.subscribe)(subscription)
                code = await self.replay() or await self.follow(subscription)
        except Exception:
            logger.exception("job=%s socket failed", self.job_id)
            code = BROKEN
        finally:
            hub.unsubscribe(subscription)
        await self.close(code)

    async def check(self) -> int:
        key = self.scope["session"].session_key
        closing_code = database_sync_to_async(access.closing_code)
        return int(await closing_code(key, self.job_id, self.cursor))

    async def replay(self) -> int:
        """Send what the table holds; return why to close, or 0."""
        while True:
            messages = await database_sync_to_async(read_after)(
                self.job_id, self.cursor
            )
            for message in messages:
                if code := await self.pass_on(message):
                    return code
            if len(messages) < READ_AT_ONCE:
                return 0

    async def follow(self, subscription: Subscription) -> int:
        """Send what comes and check access now and then; return why to close."""
        loop = asyncio.get_running_loop()
        check_at = loop.time() + RECHECK_S
        code = 0
        while not code and not subscription.is_overrun:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(check_at):
                    message = await subscription.queue.get()
                code = await self.pass_on(message)
            if not code and loop.time() >= check_at:
                code = await self.check()
                check_at = loop.time() + RECHECK_S
        return code or LAGGING

    async def pass_on(self, message: Message) -> int:
        if message.seq <= self.cursor:
            return 0
        while message.seq - self.acknowledged > WINDOW:
            self.heard.clear()
            try:
                await asyncio.wait_for(self.heard.wait(), ACKNOWLEDGE_S)
            except TimeoutError:
                return LAGGING
        await self.send(message.text)
        self.cursor = message.seq
        return access.ENDED if message.is_last else 0
