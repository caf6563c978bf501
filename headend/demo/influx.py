"""The demo on InfluxDB: buckets of its own, empty at the beginning, and old days that are there alone in the end."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from headend.config import load_settings
from headend.errors import HeadendError
from headend.site import Site
from headend.store.influx.connection import Influx
from headend.store.influx.parts import forwarder
from headend.store.influx.setup import set_up
from headend.store.unsent import backlog

_READS, _TELEMETRY = "headend-demo-reads", "headend-demo-telemetry"
_LOOK_EVERY_S = 0.2
#: InfluxDB that takes nothing at all for so long is not there.
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class InfluxServer:
    """Where the demo's InfluxDB is; what is None comes from the shipped settings or the environment."""

    url: str | None = None
    org: str | None = None
    token: str | None = None

    def settings(self) -> dict[str, dict[str, Any]]:
        """What this makes of the settings, by section."""
        given = {"url": self.url, "org": self.org, "token": self.token}
        buckets = {"reads_bucket": _READS, "telemetry_bucket": _TELEMETRY}
        return {"store": {"kind": "influx"}, "influx": {k: v for k, v in given.items() if v is not None} | buckets}

    def make_buckets(self) -> None:
        """The demo's buckets, without what an earlier demo left there; raises `StoreAway`."""
        settings = load_settings(None, self.settings())
        with closing(Influx(settings.influx)) as influx:
            with influx.client() as client:
                buckets = client.buckets_api()
                for name in (_READS, _TELEMETRY):
                    if (left := buckets.find_bucket_by_name(name)) is not None:
                        buckets.delete_bucket(left)
            set_up(influx, settings)


def move_to_influx(site: Site) -> int:
    """Wait until InfluxDB has everything, and let go of what it has; how many day blocks are there alone now.

    Raises
    ------
    HeadendError
        InfluxDB takes nothing any more.
    """
    left, since = -1, time.monotonic()
    while True:
        with site.database.read() as tx:
            waiting = backlog(tx).blocks
        if not waiting:
            break
        if waiting != left:
            left, since = waiting, time.monotonic()
        elif time.monotonic() - since > _PATIENCE_S:
            raise HeadendError(f"InfluxDB has taken nothing for {_PATIENCE_S:.0f} s; {waiting} day blocks wait for it")
        time.sleep(_LOOK_EVERY_S)
    return forwarder(site.settings, site.database, site.clock).let_go()
