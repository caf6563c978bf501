"""Everything InfluxDB must have before the first read goes there; what is there already is left as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from influxdb_client.domain.bucket import Bucket
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.dbrp_create import DBRPCreate
from influxdb_client.service.dbr_ps_service import DBRPsService

from headend.config import Settings
from headend.errors import InvalidConfig, StoreAway
from headend.reads.days import DAY_S
from headend.store.influx.connection import Influx

# The head-end deletes reads when their time is over, but keeps those of a bill that is not issued yet. So InfluxDB's
# own retention, which knows no bills, comes a year later.
_LATER_DAYS = 400

# The one InfluxQL takes where a query names none.
_DEFAULT_POLICY = "autogen"
_ANY_POINT = "from(bucket: bucket) |> range(start: -1s) |> limit(n: 1)"

Outcome: TypeAlias = Literal["made", "changed", "was there"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One thing InfluxDB needs, and what had to be done for it.

    Parameters
    ----------
    what
        in words: `bucket reads, kept for ever`.
    """

    what: str
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.what}: {self.outcome}"


def set_up(influx: Influx, settings: Settings) -> list[Prepared]:
    """Make the buckets with their retention, and a database of the same name for InfluxQL to each.

    The token must be one that may make buckets. Raises `StoreAway`, and `InvalidConfig` where there is no such
    organization.
    """
    with influx.client() as client:
        found = [one for one in client.organizations_api().find_organizations() if one.name == settings.influx.org]
        if not found:
            raise InvalidConfig("influx.org", repr(settings.influx.org), "an organization that the token may see")
        return [
            prepared
            for name, keep_days in (
                (settings.influx.reads_bucket, settings.store.keep_days and settings.store.keep_days + _LATER_DAYS),
                (settings.influx.telemetry_bucket, settings.store.keep_telemetry_days),
            )
            for prepared in _bucket_and_database(client, found[0].id, name, keep_days)
        ]


def check_access(influx: Influx, settings: Settings) -> None:
    """Raise `StoreAway` where the token may not write to one of the buckets, or not read it."""
    for bucket in (settings.influx.reads_bucket, settings.influx.telemetry_bucket):
        try:
            influx.write(bucket, [b""])  # whether one may is asked first; then there is nothing to write
            influx.query(_ANY_POINT, {"bucket": bucket})
        except StoreAway as error:
            raise StoreAway(f"influx.token cannot be used for bucket {bucket}: {error}") from error


def _bucket_and_database(client: Any, org_id: str, name: str, keep_days: int) -> Iterator[Prepared]:
    kept = f"kept for {keep_days} days" if keep_days else "kept for ever"
    bucket, outcome = _bucket(client, org_id, name, keep_days * DAY_S)
    yield Prepared(f"bucket {name}, {kept}", outcome)
    yield Prepared(f"database {name} for InfluxQL", _database(client, org_id, bucket))


def _bucket(client: Any, org_id: str, name: str, keep_s: int) -> tuple[Bucket, Outcome]:
    buckets = client.buckets_api()
    rule = BucketRetentionRules(
        type="expire", every_seconds=keep_s, shard_group_duration_seconds=_shard_group_s(keep_s)
    )
    bucket = buckets.find_bucket_by_name(name)
    if bucket is None:
        return buckets.create_bucket(bucket_name=name, org=org_id, retention_rules=[rule]), "made"
    if sum(rule.every_seconds for rule in bucket.retention_rules) == keep_s:
        return bucket, "was there"
    bucket.retention_rules = [rule]
    return buckets.update_bucket(bucket), "changed"


def _shard_group_s(keep_s: int) -> int:
    """As InfluxDB chooses for a new bucket; one that is changed keeps what it had, and may be refused for it [s]."""
    if keep_s == 0 or keep_s >= 180 * DAY_S:
        return 7 * DAY_S
    return DAY_S if keep_s >= 2 * DAY_S else 3_600


def _database(client: Any, org_id: str, bucket: Bucket) -> Outcome:
    service = DBRPsService(client.api_client)
    there = service.get_dbr_ps(org_id=org_id, bucket_id=bucket.id, db=bucket.name, default=True).content
    # InfluxDB makes up a mapping where there is none, which another of that name would displace.
    if any(not mapping.virtual for mapping in there):
        return "was there"
    service.post_dbrp(
        DBRPCreate(
            org_id=org_id, bucket_id=bucket.id, database=bucket.name, retention_policy=_DEFAULT_POLICY, default=True
        )
    )
    return "made"
