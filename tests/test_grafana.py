"""The dashboards of `config/grafana`: each query as Grafana sends it, to a real InfluxDB; figures worked by hand."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from headend.reads.quality import Quality
from tests.servers import Influxd

ROOT = Path(__file__).parents[1]
GRAFANA = ROOT / "config" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
FLEET, METER = DASHBOARDS["fleet-health"], DASHBOARDS["meter"]

NOW = datetime(2026, 3, 30, 10, tzinfo=UTC)  # the clocks in Berlin went forward the day before
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
IMPORT, GAS, WATER, REACTIVE = "1-0:1.8.0", "7-0:3.0.0", "8-0:1.0.0", "1-0:3.8.0"
FLAT = 'Flat "4", left'


def march(day: int, hour: int) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def read(
    meter: str, channel: str, begin: datetime, value: int, quality: Quality, version: int = 1, dial: int = -1
) -> str:
    tag = meter.replace(",", r"\,").replace(" ", r"\ ")
    fields = f"value={value}i,quality={quality.value}i,version={version}i,flags=0i,register={dial}i"
    return f"reads,channel={channel},meter={tag} {fields} {int(begin.timestamp())}"


def reads() -> Iterator[str]:
    odd = {
        march(27, 5): (0, Quality.MISSING, 1),
        march(27, 6): (90, Quality.ESTIMATED_LINEAR, 2),
        march(28, 7): (80, Quality.EDITED, 3),
    }
    for number in range(106):  # E-1: five days, hour by hour, until now
        begin = march(26, 0) + number * HOUR
        value, quality, version = odd.get(begin, (100, Quality.VALIDATED, 1))
        dial = 5_000_000 + 100 * number if begin.hour == 23 else -1
        yield read("E-1", IMPORT, begin, value, quality, version, dial)
    for number in range(106):  # E-2: silent from noon of the 28th, estimated since
        begin = march(26, 0) + number * HOUR
        measured = begin < march(28, 12)
        yield read("E-2", IMPORT, begin, *((50, Quality.RAW) if measured else (40, Quality.ESTIMATED_LIKE_DAY)))
    yield read("E-1", REACTIVE, march(30, 9), 7, Quality.EDITED)
    for hour in (12, 13):
        yield read("G-3", GAS, march(29, hour), 300, Quality.VALIDATED, dial=90_000 + hour)
    yield read(FLAT, WATER, march(30, 8), 120, Quality.QUESTIONABLE)
    yield read(FLAT, WATER, march(30, 9), 0, Quality.MISSING)


def telemetry() -> Iterator[str]:
    for tags, fields, at in (
        ("gateway=GW-1,meter=E-1", "voltage_v=230.0,signal_dbm=-120.0,battery_v=3.0", march(30, 7)),
        ("gateway=GW-1,meter=E-1", "voltage_v=232.0,signal_dbm=-80.0,battery_v=3.6", march(30, 7) + HOUR / 2),
        ("gateway=GW-1,meter=E-2", "voltage_v=229.0,signal_dbm=-85.0,battery_v=3.2", march(30, 6)),
        ("gateway=GW-1", "signal_dbm=-95.0,clock_offset_s=-70.0,temperature_c=31.5", march(30, 9)),
        ("gateway=GW-2", "clock_offset_s=2.0", march(30, 5)),
        ("gateway=GW-3", "clock_offset_s=1.0", march(20, 5)),
    ):
        yield f"telemetry,{tags} {fields} {int(at.timestamp())}"


@dataclass(frozen=True)
class Grafana:
    """Asks what a panel or a variable asks, the way Grafana does."""

    influxd: Influxd
    buckets: Mapping[str, str]

    def ask(
        self, query: str, start: datetime, stop: datetime = NOW, window: str = "1h0m0s", **chosen: str
    ) -> list[dict]:
        """Rows, without what InfluxDB adds to each."""
        filled = self.filled(query, start, stop, window, **chosen)
        added = ("", "result", "table")
        return [{key: cell for key, cell in row.items() if key not in added} for row in self.influxd.rows(filled)]

    def filled(self, query: str, start: datetime, stop: datetime, window: str, **chosen: str) -> str:
        """Variables are filled in by the page, then times by Grafana's server: both as plain text."""
        values = {**self.buckets, **chosen}

        def value(found: re.Match[str]) -> str:
            name, form = found[1] or found[3], found[2]
            assert form == "doublequote", f"{found[0]}: a value that is no literal"
            return '"' + values[name].replace('"', r"\"") + '"'

        query = re.sub(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)", value, query)
        for name, said in {"timeRangeStart": text(start), "timeRangeStop": text(stop), "windowPeriod": window}.items():
            query = query.replace(f"v.{name}", said)
        return query


@pytest.fixture(scope="module")
def grafana(influxd: Influxd) -> Grafana:
    settings = influxd.settings()
    buckets = {name: str(settings[name]) for name in ("reads_bucket", "telemetry_bucket")}
    influxd.write(buckets["reads_bucket"], *reads())
    influxd.write(buckets["telemetry_bucket"], *telemetry())
    return Grafana(influxd, buckets)


def panel(dashboard: dict, title: str) -> dict:
    return next(panel for panel in dashboard["panels"] if panel["title"] == title)


def flux(dashboard: dict, title: str) -> str:
    (target,) = panel(dashboard, title)["targets"]
    return target["query"]


def variable(dashboard: dict, name: str) -> dict:
    return next(found for found in dashboard["templating"]["list"] if found["name"] == name)


def flux_panels(dashboard: dict) -> list[str]:
    return [panel["title"] for panel in dashboard["panels"] if panel["datasource"]["type"] == "influxdb"]


def fleet(grafana: Grafana, title: str, window: str = "1h0m0s") -> list[dict]:
    return grafana.ask(flux(FLEET, title), NOW - DAY, window=window, channel=IMPORT)


def test_meters_heard_are_those_that_measured(grafana: Grafana):
    assert fleet(grafana, "Meters heard") == [{"_value": "3"}]


def test_a_meter_that_is_only_estimated_is_silent(grafana: Grafana):
    assert fleet(grafana, "Meters silent for 24 h") == [{"meter": "1"}]
    assert fleet(grafana, "Silent meters") == [{"meter": "E-2", "_time": text(march(28, 11))}]


def test_measured_reads_are_counted_by_the_hour(grafana: Grafana):
    found = {row["_time"]: float(row["reads per hour"]) for row in fleet(grafana, "Measured reads per hour")}
    expected = {text(NOW - DAY + number * HOUR): 1.0 for number in range(24)}  # E-1
    for also in (march(29, 12), march(29, 13), march(30, 8)):
        expected[text(also)] = 2.0  # … gas twice, water once
    assert found == expected


def test_reads_per_hour_stay_per_hour_in_wider_windows(grafana: Grafana):
    found = {row["_time"]: float(row["reads per hour"]) for row in fleet(grafana, "Measured reads per hour", "2h0m0s")}
    assert len(found) == 12
    assert (found[text(march(29, 12))], found[text(march(30, 8))], found[text(march(30, 6))]) == (2.0, 1.5, 1.0)


def test_shares_are_of_the_intervals_that_are_known(grafana: Grafana):
    rows = {row["_time"]: row for row in fleet(grafana, "Estimated and missing")}
    assert len(rows) == 24
    shares = {at: (float(row["estimated"]), float(row["missing"])) for at, row in rows.items()}
    assert shares[text(march(29, 11))] == (1 / 2, 0)
    assert shares[text(march(29, 12))] == (pytest.approx(1 / 3), 0)
    assert shares[text(march(30, 9))] == (1 / 4, 1 / 4)  # reactive energy counts too


def test_energy_of_the_fleet_is_of_one_channel(grafana: Grafana):
    rows = fleet(grafana, "Energy of the fleet")
    assert [row["energy"] for row in rows] == ["140"] * 24
    assert (rows[0]["_time"], rows[-1]["_time"]) == (text(march(29, 10)), text(march(30, 9)))


def test_a_gateway_shows_its_weakest_signal_lowest_battery_and_worst_clock(grafana: Grafana):
    heard = {name: str(int(at.timestamp() * 1000)) for name, at in (("GW-1", march(30, 9)), ("GW-2", march(30, 5)))}
    one, two = fleet(grafana, "Gateways")
    assert one == {
        "gateway": "GW-1",
        "signal_dbm": "-95",
        "battery_v": "3.2",
        "clock_offset_s": "-70",
        "heard": heard["GW-1"],
    }
    assert two == {"gateway": "GW-2", "signal_dbm": "", "battery_v": "", "clock_offset_s": "2", "heard": heard["GW-2"]}


def test_worst_meters_come_first_and_good_ones_not_at_all(grafana: Grafana):
    assert fleet(grafana, "Worst meters") == [
        {"meter": "E-2", "missing": "0", "estimated": "24", "share": "1"},
        {"meter": FLAT, "missing": "1", "estimated": "0", "share": "0.5"},
    ]


@pytest.mark.parametrize("title", flux_panels(FLEET))
def test_what_is_asked_of_all_meters_is_added_up_where_it_is_stored(title: str, grafana: Grafana):
    """A fleet's reads of a month do not fit through a query: InfluxDB's own account says where they were counted."""
    query = grafana.filled(flux(FLEET, title), NOW - DAY, NOW, "1h0m0s", channel=IMPORT)
    imports = "".join(re.findall(r"^import .*\n", query, re.MULTILINE))
    profiled = (
        f'{imports}import "profiler"\noption profiler.enabledProfilers = ["operator"]\n{query.removeprefix(imports)}'
    )
    sources = [row["Label"] for row in grafana.influxd.rows(profiled) if "influxdb." in row.get("Type", "")]
    assert sources
    assert [label for label in sources if not label.startswith(("ReadWindowAggregate", "ReadGroupAggregate"))] == []


def meter(grafana: Grafana, title: str, name: str = "E-1", channel: str = IMPORT, window: str = "1h0m0s") -> list[dict]:
    chosen = {"meter": name, "channel": channel, "zone": "Europe/Berlin"}
    return grafana.ask(flux(METER, title), march(27, 0), window=window, **chosen)


def test_energy_in_the_range_adds_up(grafana: Grafana):
    (row,) = meter(grafana, "Energy in the time range")
    assert row["energy"] == str(82 * 100 - 100 - 10 - 20)


def test_newest_read_is_one_that_was_measured(grafana: Grafana):
    newest = [meter(grafana, "Newest measured read", name)[0]["newest"] for name in ("E-1", "E-2")]
    assert newest == [str(int(at.timestamp() * 1000)) for at in (march(30, 9), march(28, 11))]


def test_estimated_and_missing_intervals_are_counted(grafana: Grafana):
    for name, estimated, missing in (("E-1", "1", "1"), ("E-2", "46", None)):
        assert [row["_value"] for row in meter(grafana, "Estimated intervals", name)] == [estimated]
        assert [row["_value"] for row in meter(grafana, "Missing intervals", name)] == ([missing] if missing else [])
    assert panel(METER, "Missing intervals")["fieldConfig"]["defaults"]["noValue"] == "0"


def test_each_interval_is_in_the_column_of_its_quality_and_a_missing_one_in_none(grafana: Grafana):
    rows = {row.pop("_time"): row for row in meter(grafana, "Energy per interval")}
    assert len(rows) == 81
    assert text(march(27, 5)) not in rows
    assert rows.pop(text(march(27, 6))) == {"actual": "", "edited": "", "estimated": "90"}
    assert rows.pop(text(march(28, 7))) == {"actual": "", "edited": "80", "estimated": ""}
    assert all(row == {"actual": "100", "edited": "", "estimated": ""} for row in rows.values())


def test_quality_is_there_for_missing_intervals_too(grafana: Grafana):
    found = Counter(row["quality"] for row in meter(grafana, "Quality"))
    assert found == {"2": 79, "0": 1, "6": 1, "5": 1}


def test_days_are_local_ones(grafana: Grafana):
    days = [(row["_time"], row["energy"]) for row in meter(grafana, "Daily use", window="10m0s")]
    assert days == [
        (text(march(26, 23)), "2290"),
        (text(march(27, 23)), "2380"),
        (text(march(28, 23)), "2300"),  # 23 hours
        (text(march(29, 22)), "1200"),  # until noon
    ]


def test_registers_are_shown_where_there_are_any(grafana: Grafana):
    found = [(row["_time"], row["register"]) for row in meter(grafana, "Register")]
    assert found == [(text(march(day, 23)), str(5_000_000 + 100 * (24 * (day - 26) + 23))) for day in (27, 28, 29)]


def test_voltage_is_a_mean_by_gateway(grafana: Grafana):
    assert meter(grafana, "Voltage") == [{"_time": text(march(30, 7)), "GW-1": "231"}]


def test_replaced_intervals_are_listed_newest_first(grafana: Grafana):
    assert meter(grafana, "Intervals with more than one version") == [
        {"_time": text(march(28, 7)), "value": "80", "quality": "5", "version": "3"},
        {"_time": text(march(27, 6)), "value": "90", "quality": "6", "version": "2"},
    ]


@pytest.mark.parametrize(
    ("name", "channel", "of", "unit"),
    [("G-3", GAS, " volume", "litre"), (FLAT, WATER, " volume", "litre"), ("E-1", REACTIVE, " reactive", "si:varh")],
)
def test_what_is_no_energy_has_a_unit_of_its_own(name: str, channel: str, of: str, unit: str, grafana: Grafana):
    for title, series in (("Energy in the time range", "energy"), ("Daily use", "energy"), ("Energy per interval", "")):
        (row, *_) = meter(grafana, title, name, channel)
        (column,) = row.keys() - {"_time"}
        assert column.endswith(of)
        assert column.startswith(series)
        (units,) = [
            said["value"]
            for override in panel(METER, title)["fieldConfig"]["overrides"]
            if re.search(override["matcher"]["options"].strip("/"), column)
            for said in override["properties"]
            if said["id"] == "unit"
        ]
        assert units == unit


def test_variables_offer_what_there_is(grafana: Grafana):
    def offered(dashboard: dict, name: str, **chosen: str) -> list[str]:
        found = variable(dashboard, name)
        assert found["refresh"] == 2, "asked again when the time range changes"
        pattern = re.compile(found["regex"].strip("/"))
        rows = grafana.ask(found["query"]["query"], NOW - 5 * DAY, **chosen)
        return [row["_value"] for row in rows if pattern.search(row["_value"])]

    assert offered(METER, "meter") == ["E-1", "E-2", FLAT, "G-3"]
    assert offered(METER, "channel", meter="E-1") == [IMPORT, REACTIVE]
    assert offered(METER, "channel", meter=FLAT) == [WATER]
    assert offered(FLEET, "channel") == [IMPORT]


@pytest.mark.parametrize(
    ("dashboard", "title"), [(name, title) for name, found in DASHBOARDS.items() for title in flux_panels(found)]
)
def test_where_there_is_nothing_nothing_is_found(dashboard: str, title: str, grafana: Grafana):
    chosen = {"meter": "E-1", "channel": IMPORT, "zone": "Europe/Berlin"}
    stop = datetime(2020, 1, 2, tzinfo=UTC)
    assert grafana.ask(flux(DASHBOARDS[dashboard], title), stop - DAY, stop, **chosen) == []


def provisioned(kind: str) -> list[dict]:
    files = sorted((GRAFANA / "provisioning" / kind).glob("*.yml"))
    key = {"datasources": "datasources", "dashboards": "providers"}[kind]
    return [entry for file in files for entry in yaml.safe_load(file.read_text())[key]]


def test_data_sources_take_their_secret_from_the_environment():
    sources = {source["type"]: source for source in provisioned("datasources")}
    assert sources.keys() == {"prometheus", "influxdb"}
    influx = sources["influxdb"]
    assert (influx["jsonData"]["version"], influx["secureJsonData"]) == ("Flux", {"token": "$INFLUXDB_TOKEN"})
    assert sum(source.get("isDefault", False) for source in sources.values()) == 1


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_asks_a_data_source_that_is_provisioned(name: str):
    known = {(source["type"], source["uid"]) for source in provisioned("datasources")}
    dashboard = DASHBOARDS[name]
    asked = [panel["datasource"] for panel in dashboard["panels"]]
    asked += [target["datasource"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [found["datasource"] for found in dashboard["templating"]["list"] if "datasource" in found]
    assert {(source["type"], source["uid"]) for source in asked} <= known


def test_identities_are_unique():
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    for dashboard in DASHBOARDS.values():
        for key in ("id", "title"):
            said = [panel[key] for panel in dashboard["panels"]]
            assert len(set(said)) == len(said)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_say_what_they_show_and_do_not_overlap(name: str):
    panels = DASHBOARDS[name]["panels"]
    assert all(len(panel["description"]) > 30 for panel in panels)
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_are_defined_before_use_and_used(name: str):
    defined: list[str] = []
    used: set[str] = set()
    for found in DASHBOARDS[name]["templating"]["list"]:
        if found["type"] == "query":
            wanted = set(re.findall(r"\$\{?(\w+)", found["query"]["query"]))
            assert wanted <= set(defined)
            used |= wanted
        defined.append(found["name"])
    for title in flux_panels(DASHBOARDS[name]):
        used |= set(re.findall(r"\$\{?(\w+)", flux(DASHBOARDS[name], title)))
    assert used == set(defined)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_buckets_and_time_zone_are_the_shipped_ones(name: str):
    shipped = tomllib.loads((ROOT / "config" / "headend.toml").read_text())
    for bucket in ("reads_bucket", "telemetry_bucket"):
        assert variable(DASHBOARDS[name], bucket)["query"] == shipped["influx"][bucket]
    assert variable(METER, "zone")["query"] == shipped["site"]["timezone"]


def test_quality_codes_are_called_what_they_are():
    (mapping,) = panel(METER, "Quality")["fieldConfig"]["defaults"]["mappings"]
    assert {int(code): said["text"] for code, said in mapping["options"].items()} == {one: one.label for one in Quality}


def test_links_lead_to_dashboards_that_exist():
    uids = {dashboard["uid"] for dashboard in DASHBOARDS.values()}
    linked = set(re.findall(r"/d/([\w-]+)", json.dumps(list(DASHBOARDS.values()))))
    assert linked == {METER["uid"]}
    assert linked <= uids


def test_the_folder_of_dashboards_is_where_the_provider_looks():
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    there = {inside: ROOT / outside for outside, inside, *_ in (mount.split(":") for mount in mounts)}
    (provider,) = provisioned("dashboards")
    assert there[provider["options"]["path"]].resolve() == GRAFANA / "dashboards"
    assert there["/etc/grafana/provisioning"].resolve() == GRAFANA / "provisioning"
