"""The decoders under atheris: `python -m tests.fuzz_decoders -runs=1000000 [CORPUS]`, arguments as libFuzzer's.

Nothing but `InvalidMessage` may come out of a decoder, whatever goes in, and it must come soon. Without a corpus it
begins with one good message of every kind.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["headend.collect", "headend.reads", "jsonpath", "json"]):
    from tests.decoders import SEEDS, decode_by_all


def main(arguments: list[str]) -> None:
    """Fuzz until an exception, or as long as the arguments say."""
    with tempfile.TemporaryDirectory() as folder:
        if all(argument.startswith("-") for argument in arguments[1:]):
            for place, seed in enumerate(SEEDS):
                (Path(folder) / str(place)).write_bytes(seed)
            arguments = [*arguments, folder]
        atheris.Setup(arguments, decode_by_all)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
