"""Two real load series, folded to whole hours, that the simulator replays (licences: LICENCES.md)."""
