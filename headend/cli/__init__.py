"""The command line. Exit codes: 0 done, 1 a difference or a failed check, 2 wrong input, said in one line."""

from headend.cli.main import main

__all__ = ["main"]
