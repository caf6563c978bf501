"""What only one process does: the lock is the system's, so an end of any kind hands it on."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
from pathlib import Path

from headend.collect.only import InTurn


class Says:
    """A part that says what happens to it."""

    def __init__(self, name: str, said: queue.Queue[str]) -> None:
        self._name, self._said = name, said

    def start(self) -> None:
        self._said.put(f"{self._name} starts")

    def stop(self) -> None:
        self._said.put(f"{self._name} stops")


HOLDER = """
import sys, threading
from pathlib import Path
from headend.collect.only import InTurn
class Part:
    def start(self): print("mine", flush=True)
    def stop(self): pass
InTurn(Path(sys.argv[1]), [Part()]).start()
threading.Event().wait()
"""


def test_parts_run_in_order_and_stop_the_other_way_round(tmp_path: Path) -> None:
    said: queue.Queue[str] = queue.Queue()
    turn = InTurn(tmp_path / "x.lock", [Says("a", said), Says("b", said)])
    turn.start()
    assert [said.get(timeout=10) for _ in range(2)] == ["a starts", "b starts"]
    turn.stop()
    assert [said.get(timeout=10) for _ in range(2)] == ["b stops", "a stops"]


def test_another_takes_over_from_one_that_was_killed(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "mine\n"
    said: queue.Queue[str] = queue.Queue()
    second = InTurn(lock, [Says("second", said)])
    second.start()
    assert said.empty()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert said.get(timeout=20) == "second starts"
    second.stop()


def test_one_that_never_had_its_turn_stops_at_once(tmp_path: Path) -> None:
    said: queue.Queue[str] = queue.Queue()
    first, second = (InTurn(tmp_path / "x.lock", [Says(name, said)]) for name in ("first", "second"))
    first.start()
    assert said.get(timeout=10) == "first starts"
    second.start()
    second.stop()
    first.stop()
    assert said.get(timeout=10) == "first stops"
    assert said.empty()
