"""`python -m headend.collect.modbus`: the page of supported devices, made of the shipped profiles."""

from __future__ import annotations

import sys

from headend.collect.modbus.profile import Profile, load_profiles
from headend.config import shipped
from headend.reads.channels import Channel

_HEAD = """\
# Modbus meters that work out of the box

Made of the files in [`config/modbus/`](../config/modbus/) by `python -m headend.collect.modbus`; do not edit.
How to enrol a meter and how to write a profile for another one: [modbus.md](modbus.md).

| profile | maker | model | channels | serial number |
|---|---|---|---|---|
"""

_MEANING = {"1-0:2.8.0": "export", "1-0:4.8.0": "reactive export"}


def page(profiles: dict[str, Profile]) -> str:
    """The page, in Markdown."""
    rows = "".join(
        f"| `{name}` | {profile.maker} | {profile.model} | {', '.join(_channels(profile))} "
        f"| {'yes' if profile.serial else 'no'} |\n"
        for name, profile in profiles.items()
    )
    manuals = "".join(
        f"- `{name}`: [{manual.title}]({manual.link}), {manual.revision}; {manual.section}\n"
        for name, manual in ((name, profile.manual) for name, profile in profiles.items())
    )
    return f"{_HEAD}{rows}\n## Manuals\n\n{manuals}"


def _channels(profile: Profile) -> list[str]:
    return [
        f"{row.channel} {_MEANING.get(row.channel, Channel.parse(row.channel).meaning.lower())}"
        for row in profile.registers
    ]


if __name__ == "__main__":
    sys.stdout.write(page(load_profiles(shipped("modbus"))))
