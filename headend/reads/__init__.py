"""What a read is: channels, quality codes, day blocks, load profiles and local days. No I/O.

A read is (meter, channel, interval start) → whole number. It travels in blocks, never alone.
"""

from headend.reads.blocks import NO_REGISTER, Blocks, empty_blocks, merge, pack
from headend.reads.channels import Channel
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import Flag, Quality

__all__ = [
    "NO_REGISTER",
    "Blocks",
    "Channel",
    "Flag",
    "LoadProfiles",
    "Quality",
    "empty_blocks",
    "merge",
    "pack",
]
