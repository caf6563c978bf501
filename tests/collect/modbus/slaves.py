"""Slaves for the poller to meet: registers on a raw TCP server, and servers that misbehave."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

#: unit → (function, address) → word
Memory = Mapping[int, Mapping[tuple[int, int], int]]

Answer = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """One question of the poller's."""

    tid: int
    unit: int
    function: int
    address: int
    count: int

    def frame(self, pdu: bytes, *, unit: int | None = None) -> bytes:
        """An answer to it."""
        return struct.pack(">HHHB", self.tid, 0, len(pdu) + 1, self.unit if unit is None else unit) + pdu

    def words(self, words: list[int]) -> bytes:
        """The PDU that holds the words."""
        return struct.pack(f">BB{len(words)}H", self.function, 2 * len(words), *words)

    def exception(self, code: int) -> bytes:
        """The PDU that holds an exception code."""
        return bytes([self.function | 0x80, code])


def remembering(memory: Memory) -> Answer:
    """A slave as it should be: exception 2 for an address it has not, 11 for a unit it has not."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        registers = memory.get(request.unit)
        wanted = [(request.function, request.address + place) for place in range(request.count)]
        if registers is None:
            pdu = request.exception(11)
        elif any(key not in registers for key in wanted):
            pdu = request.exception(2)
        else:
            pdu = request.words([registers[key] for key in wanted])
        writer.write(request.frame(pdu))

    return answer


class Slave(AbstractContextManager["Slave"]):
    """A Modbus TCP server in a thread of its own, that answers as it is told.

    Parameters
    ----------
    answer
        may be exchanged at any time.
    ports
        how many it listens on: as many devices.
    """

    def __init__(self, answer: Answer, ports: int = 1) -> None:
        self.answer, self.requests, self.connections = answer, list[Request](), 0
        self.ports: list[int] = []
        self._count, self._ready = ports, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Slave:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.ports[0]}"

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        servers = [await asyncio.start_server(self._serve, "127.0.0.1", 0) for _ in range(self._count)]
        self.ports = [server.sockets[0].getsockname()[1] for server in servers]
        self._ready.set()
        await self._end.wait()
        for server in servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readexactly(12)
                tid, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", head)
                self.requests.append(request := Request(tid, unit, function, address, count))
                await self.answer(request, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()
