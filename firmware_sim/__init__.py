"""A field of simulated meters and gateways that speak the documented wire (docs/wire-format.md).

Nothing here imports the head-end: what both sides share is the wire alone, so a fleet that gets through proves it.
"""
