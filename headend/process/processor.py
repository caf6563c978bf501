"""The process role: intake, over and over, in a thread of its own."""

from __future__ import annotations

import threading

import structlog

from headend.errors import StoreAway
from headend.process.intake import Intake
from headend.site import Site

log = structlog.get_logger(__name__)

_RETRY_S = 5.0


class Processor:
    """Runs intake from `start` to `stop`."""

    def __init__(self, site: Site) -> None:
        self._intake = Intake(site)
        self._idle_s = site.settings.process.poll_ms / 1_000
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="processor", daemon=True)

    def start(self) -> None:
        """Begin with the first journal entry that is not in the store."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch at hand."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                idle_s = 0.0 if self._intake.step() else self._idle_s
            except StoreAway as away:
                log.warning("intake waits for the interval store", because=str(away))
                idle_s = _RETRY_S
            except Exception as error:
                # Whatever it was, nothing was committed; the journal still has it all.
                log.exception("intake failed, trying again", error=str(error))
                idle_s = _RETRY_S
            self._stopping.wait(idle_s)
