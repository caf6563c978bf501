"""The office of a configured site, where a command works."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from headend.billing.ports import Office


def open_office(config: Path | None, period: str | None = None) -> Office:
    """Open the site; raises `InvalidInput` where the period it is asked about is no month."""
    from headend.app import open_site
    from headend.office import office_of
    from headend.reads.days import Period

    site = open_site(config)
    if period is not None:
        Period.month(period, site.settings.site.zone)
    return office_of(site)
