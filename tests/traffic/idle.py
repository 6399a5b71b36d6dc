"""Clients that keep an idle WebSocket open, like those of a chat, and reconnect when it is closed."""

from __future__ import annotations

import asyncio
import random
import resource
import ssl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from traffic.load import ANSWER_SECONDS, Address

# concurrent handshakes; more would only wait for each other
AT_ONCE = 32
# attempts to reconnect per second; clients of a chat spread them by waiting a random time
RETURNING = 200
# minimum number of reconnects per second if the clients share the CPUs of the machine
ACCEPTED = 20
SPARE_FILES = 256


@dataclass
class IdleClients:
    """The counters of the clients. Times are seconds since the start of the action."""

    number: int
    opened: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    closed: Counter[int] = field(default_factory=Counter)
    first_close: float | None = None
    last_close: float | None = None
    open_at_the_end: int = 0

    @property
    def failure(self) -> str:
        """Return the deviations from the expected result: each client is accepted, closed once with 1012, and accepted again.

        WebSockets that a drain does not close in time end with 1006.
        """
        deviations = []
        if self.faults:
            deviations.append(f"refused or broken off: {dict(self.faults)}")
        if self.closed != {1012: self.number}:
            deviations.append(f"closed with {dict(self.closed)}, not {self.number} times with 1012")
        if self.opened != 2 * self.number or self.open_at_the_end != self.number:
            deviations.append(
                f"{self.opened} accepted, {self.open_at_the_end} open at the end, of {self.number} clients"
            )
        return "; ".join(deviations)

    def __str__(self) -> str:
        closed = ", ".join(f"{count} closed with {code}" for code, count in sorted(self.closed.items()))
        within = f" within {self.last_close - self.first_close:.1f} s" if self.last_close else ""
        accepted = f"{self.number} clients, accepted {self.opened} times"
        return f"{accepted}, {closed or 'none closed'}{within}, {self.faults.total()} faults"


def hold(address: Address, number: int, action: Callable[[], None]) -> IdleClients:
    """Keep *number* WebSockets open, run *action*, wait until all closed clients have reconnected, and return the counters."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, number + SPARE_FILES), hard), hard))
    return asyncio.run(_hold(address, IdleClients(number), action))


async def _hold(address: Address, state: IdleClients, action: Callable[[], None]) -> IdleClients:
    handshakes = asyncio.Semaphore(AT_ONCE)
    open_now: set[int] = set()
    began = 0.0

    async def keep(client: int) -> None:
        while True:
            try:
                async with handshakes:
                    peer = await address.websocket("/ws")
            except (OSError, EOFError, TimeoutError, InvalidHandshake, ssl.SSLError) as exc:
                state.faults[type(exc).__name__] += 1
                return
            state.opened += 1
            open_now.add(client)
            with suppress(ConnectionClosed):
                await peer.recv()
            open_now.discard(client)
            state.closed[peer.close_code] += 1
            state.last_close = time.monotonic() - began
            state.first_close = state.last_close if state.first_close is None else state.first_close
            await asyncio.sleep(random.uniform(0, state.number / RETURNING))

    async def settled() -> None:
        end = time.monotonic() + ANSWER_SECONDS + state.number / ACCEPTED
        while len(open_now) + state.faults.total() < state.number and time.monotonic() < end:
            await asyncio.sleep(0.1)

    clients = [asyncio.create_task(keep(client)) for client in range(state.number)]
    try:
        await settled()
        began = time.monotonic()
        await asyncio.to_thread(action)
        await settled()
        state.open_at_the_end = len(open_now)
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return state
