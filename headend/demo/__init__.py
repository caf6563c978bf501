"""The demo: a whole small utility in one process, with a simulated field that tells us afterwards what was true."""
