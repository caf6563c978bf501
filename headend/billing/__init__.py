"""From rated reads to statements: agreements, cycles, exceptions. Rules without I/O; storage through ports."""
