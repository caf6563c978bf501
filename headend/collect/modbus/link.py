"""One connection to Modbus devices: a question, and its answer or the reason why there is none.

pymodbus frames and matches; what it does not tell apart (silence, a closed connection, half an answer, an answer of
another unit) is read off the last bytes that came. It neither retries nor reconnects: the poller decides when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from headend.collect.modbus.plan import Block
from headend.errors import InvalidMessage
from headend.registry.devices import SerialLine, TcpAddress

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, not done yet",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "the device behind the gateway does not answer",
}

# Frames on a serial line are told apart by silence: 3.5 characters of 11 bits, but not less than 1.75 ms.
_SILENCE_BITS = 38.5
_SILENCE_LEAST_S = 0.00175

#: The fault of an answer that is an exception code.
EXCEPTION = "exception code"


class Link:
    """A connection, from `open` to `close`; one question at a time.

    Parameters
    ----------
    timeout_s
        until it is open, and for each answer.

    Attributes
    ----------
    sound
        False after a broken answer, when closed, and after two silences in a row: the one may be a unit's, both are
        rather the connection's. A late answer does no harm, it is known by its transaction or its unit.
    """

    def __init__(self, address: TcpAddress | SerialLine, timeout_s: float) -> None:
        self._address, self._timeout_s = address, timeout_s
        self.sound = True
        self._silences = 0
        self._sent = self._heard = b""
        self._waiting: asyncio.Timeout | None = None
        self._client = self._make_client()

    def _make_client(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        if isinstance(self._address, TcpAddress):
            return AsyncModbusTcpClient(
                self._address.host,
                port=self._address.port,
                timeout=self._timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._on_packet,
                trace_connect=self._on_connect,
            )
        return AsyncModbusSerialClient(
            self._address.device,
            baudrate=self._address.baud,
            parity=self._address.parity,
            stopbits=self._address.stopbits,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._on_packet,
            trace_connect=self._on_connect,
        )

    def _on_packet(self, sending: bool, data: bytes) -> bytes:
        if sending:
            self._sent, self._heard = data, b""
        else:
            self._heard = data
        return data

    def _on_connect(self, connected: bool) -> None:
        # Without this a question on a connection that is gone would wait for its whole time.
        if not connected and self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def open(self) -> None:
        """Connect; raises `ConnectionError`."""
        try:
            connected = await self._client.connect()
        except Exception as error:
            # A name that cannot be one, a device that is no serial line: each layer has its own way to say so.
            raise ConnectionError(f"no connection to {self._address}: {error}") from None
        if not connected:
            raise ConnectionError(f"no connection to {self._address} within {self._timeout_s:g} s")

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    async def ask(self, unit: int, block: Block) -> Sequence[int]:
        """The words of a block, shape (block.count,).

        Raises
        ------
        TimeoutError, ConnectionError
            no answer.
        InvalidMessage
            an answer that is none, or, with fault `EXCEPTION`, a refusal.
        """
        client = self._client
        if isinstance(self._address, SerialLine):
            await asyncio.sleep(max(_SILENCE_BITS / self._address.baud, _SILENCE_LEAST_S))
        read = client.read_holding_registers if block.function == 3 else client.read_input_registers
        try:
            async with asyncio.timeout(None) as self._waiting:
                answer = await read(block.address, count=block.count, device_id=unit)
        except (TimeoutError, ModbusException):
            raise self._silence(unit) from None
        finally:
            self._waiting = None
        self._silences = 0
        where = f"{self._address} unit {unit}"
        if answer.isError():
            code = getattr(answer, "exception_code", 0)
            found = f"exception code {code}, {_EXCEPTIONS.get(code, 'unknown')}"
            raise InvalidMessage(where, found, _wanted(block), fault=EXCEPTION)
        if answer.function_code != block.function or len(answer.registers) != block.count:
            self.sound = False
            found = f"{len(answer.registers)} registers of function {answer.function_code}"
            raise InvalidMessage(where, found, _wanted(block), fault="short frame")
        return answer.registers

    def _silence(self, unit: int) -> Exception:
        """Why no answer came, by what came instead."""
        heard, where = self._heard, f"{self._address} unit {unit}"
        tcp = isinstance(self._address, TcpAddress)
        if tcp and heard[:2] != self._sent[:2]:
            heard = b""  # another transaction: what a unit asked before has answered too late
        self._silences += 1
        self.sound = self._client.connected and not heard and self._silences < 2
        if not heard and not self._client.connected:
            return ConnectionError(f"{where}: closed the connection without an answer")
        if not heard:
            return TimeoutError(f"{where}: timeout, no answer within {self._timeout_s:g} s")
        place = 6 if tcp else 0
        if len(heard) > place and heard[place] != unit:
            found = f"an answer of unit {heard[place]}"
            return InvalidMessage(where, found, f"one of unit {unit}", fault="other unit")
        found = f"a short or broken frame, {heard[:16].hex(' ')}{' …' if len(heard) > 16 else ''}"
        return InvalidMessage(where, found, "a whole Modbus answer", fault="short frame")


def _wanted(block: Block) -> str:
    return f"{block.count} registers from {block.address} by function {block.function}"
