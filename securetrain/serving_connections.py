"""Connections to the service: whoever says nothing makes room, and is gone in time.

The attacker opens connections and sends nothing, or a head letter by letter; uvicorn
waits for ever, and refuses everybody else. Here a head has seconds to be whole, and
where all places are taken the oldest silent connection goes.

Not stopped: whoever sends whole heads faster than the service answers them, and clients
with keys whose bodies are slow. The first belongs to a proxy in front; for the second
there are `body_seconds` and `requests_a_minute`.

Source: Slowloris, Hansen 2009; uvicorn 0.54
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 5  # for a whole head, from the connection or the last answer on


class Impatient(H11Protocol):
    """Uvicorn's protocol that does not wait for the silent."""

    timer: asyncio.TimerHandle | None = None

    @property
    def silent(self) -> bool:
        """Whether no request is under way: no head has come, or all is answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection, and see that there is room for it."""
        super().connection_made(transport)
        self.make_room()
        self.watch()

    def data_received(self, data: bytes) -> None:
        """Read; what is no whole head does not count as speaking."""
        if self.silent:
            self.make_room()
        super().data_received(data)
        self.watch()

    def make_room(self) -> None:
        """End the oldest silent ones where uvicorn would refuse the next request."""
        others = [one for one in self.connections if one.silent and one is not self]
        for one in sorted(others, key=lambda one: one.timer.when()):
            if len(self.connections) < self.limit_concurrency:
                return
            one.transport.abort()
            self.connections.discard(one)  # uvicorn does so only when it is gone

    def on_response_complete(self) -> None:
        """Wait for the next head, as long as for the first."""
        super().on_response_complete()
        self.watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the timer, too."""
        super().connection_lost(exc)
        self._stop()

    def watch(self) -> None:
        """Start the timer of a silent connection; it runs until a head is whole."""
        if not self.silent:
            self._stop()
        elif self.timer is None:
            self.timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
