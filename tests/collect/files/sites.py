"""A site in a folder: settings, a registry of a few meters, and files of reads."""

from __future__ import annotations

from pathlib import Path

_CHANNEL = '[[meters.channels]]\nchannel = "{}"\ninterval_s = {}\nmax_per_interval = 20000000\n'


def write_site(folder: Path, *meters: tuple[str, str, int]) -> Path:
    """Settings of a site with these meters (name, channel, interval length); old reads are believed."""
    lines = ['gateways = ["GW"]', '[[usage_points]]\nid = "UP"\naddress = "here"\ntimezone = "Australia/Brisbane"']
    for name in dict.fromkeys(meter for meter, _, _ in meters):
        lines.append(f'[[meters]]\nmeter = "{name}"\ncommodity = "electricity"\nusage_point = "UP"\ngateway = "GW"')
        lines += [_CHANNEL.format(channel, length) for meter, channel, length in meters if meter == name]
    (folder / "site.toml").write_text("\n".join(lines), encoding="utf-8")
    config = folder / "headend.toml"
    config.write_text(
        f'[site]\nregistry = "site.toml"\n[data]\ndirectory = "{folder}"\n[log]\nlevel = "error"\n'
        "[process]\npast_days = 36500\n",
        encoding="utf-8",
    )
    return config


def csv_of(*values: int | None, meter: str = "E-1", day: str = "2026-01-05") -> str:
    """Hours from midnight on."""
    rows = [f"{meter},1-0:1.8.0,{day}T{h:02}:00:00Z,{'' if v is None else v}\n" for h, v in enumerate(values)]
    return "meter,channel,start,value\n" + "".join(rows)
