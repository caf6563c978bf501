"""Every table, on one page. Changed only together with a migration under `migrations/`.

Two databases, so that the collector's group commit never waits for anybody else's transaction: the *journal* holds
what arrived, the *site* holds everything that is made of it: who and what there is (registry), reads and what else
devices tell, what they are told (downlink), billing, what bills are priced by, and the books.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite counts rows up by itself only where the key is INTEGER.
_BIG_KEY = BigInteger().with_variant(Integer, "sqlite")

journal = MetaData(naming_convention=_NAMES)
site = MetaData(naming_convention=_NAMES)

# ---- journal -------------------------------------------------------------------------------------------------------

entry = Table(
    "entry",
    journal,
    Column("offset", _BIG_KEY, primary_key=True, autoincrement=False),
    Column("received_us", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),  # of the message as it came; `payload` is cut when it was too large
    Column("chain", LargeBinary, nullable=False),  # sha256 over the entry and the chain before it
)

gateway_sequence = Table(
    "gateway_sequence",
    journal,
    Column("gateway", Text, primary_key=True),
    Column("window", Text, nullable=False),  # JSON of SequenceWindow
)

# ---- site: registry ------------------------------------------------------------------------------------------------

gateway = Table(
    "gateway",
    site,
    Column("name", Text, primary_key=True),
    Column("first_seen_s", BigInteger),
    Column("last_seen_s", BigInteger),
    Column("online", Boolean),
    Column("clock_offset_s", Integer),
    Column("messages", BigInteger, nullable=False, default=0),
    Column("native", Boolean),  # it speaks our own wire, so it hears commands; null: it has said nothing
    Column("firmware", Text),  # the version it said it runs
    Column("token_sha256", String(64)),  # of the secret for HTTP push; null: none was given
    Column("revoked_s", BigInteger),  # since when nothing is taken from it any more
)

account = Table(
    "account",
    site,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("customer_class", Text, nullable=False),
    Column("locale", String(16), nullable=False),
)

usage_point = Table(
    "usage_point",
    site,
    Column("id", Text, primary_key=True),
    Column("timezone", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("gas_area", Text),
)

meter = Table(
    "meter",
    site,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("commodity", Text, nullable=False),
    Column("gateway", Text),  # null: any gateway may report it
)

meter_channel = Table(
    "meter_channel",
    site,
    Column("meter_id", ForeignKey("meter.id"), primary_key=True),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("interval_s", Integer, nullable=False),
    Column("max_per_interval", BigInteger, nullable=False),
    Column("register_digits", SmallInteger, nullable=False),
)

# What one unit on the wire stands for, from a moment on: current and voltage transformers, pulses.
channel_constant = Table(
    "channel_constant",
    site,
    Column("meter_id", ForeignKey("meter.id"), primary_key=True),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("valid_from_s", BigInteger, primary_key=True, autoincrement=False),
    Column("numerator", BigInteger, nullable=False),  # base units = wire units × numerator ÷ denominator
    Column("denominator", BigInteger, nullable=False),
    Column("made_of", Text, nullable=False),  # for people: "CT 200/5 × PT 20000/100"
)

# Where a Modbus meter answers.
modbus_device = Table(
    "modbus_device",
    site,
    Column("meter_id", ForeignKey("meter.id"), primary_key=True),
    Column("profile", Text, nullable=False),
    Column("address", Text, nullable=False),  # tcp://host:port or rtu:///dev/ttyUSB0?baud=9600&parity=N
    Column("unit", SmallInteger, nullable=False),
)

# What a m³ of gas is worth, by gas area.
gas_quality = Table(
    "gas_quality",
    site,
    Column("area", Text, primary_key=True),
    Column("valid_from", String(10), primary_key=True),
    Column("calorific_value", String(16), nullable=False),  # kWh/m³, a decimal
    Column("conversion", String(16), nullable=False),  # volume at base conditions ÷ volume counted, a decimal
)

installation = Table(
    "installation",
    site,
    Column("meter_id", ForeignKey("meter.id"), primary_key=True),
    Column("installed_s", BigInteger, primary_key=True, autoincrement=False),
    Column("usage_point_id", ForeignKey("usage_point.id"), nullable=False, index=True),
    Column("removed_s", BigInteger),
    Column("changed_by", Text),  # as for service agreements
)

service_agreement = Table(
    "service_agreement",
    site,
    Column("id", Text, primary_key=True),
    Column("account_id", ForeignKey("account.id"), nullable=False, index=True),
    Column("usage_point_id", ForeignKey("usage_point.id"), nullable=False, index=True),
    Column("commodity", Text, nullable=False),
    Column("tariff_id", Text, nullable=False),
    Column("valid_from", String(10), nullable=False),
    Column("valid_to", String(10)),
    Column("changed_by", Text),  # who changed it last other than by the site file, which leaves it alone then
)

# Accounts that are billed together; the monthly group, of calendar months, needs no row.
billing_group = Table(
    "billing_group",
    site,
    Column("name", Text, primary_key=True),
    Column("first_day", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Where a group's meters are read on other days than usual.
reading_date = Table(
    "reading_date",
    site,
    Column("group_name", ForeignKey("billing_group.name"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("read_on", String(10), nullable=False),  # first local day of the next period
    sqlite_with_rowid=False,
)

account_group = Table(
    "account_group",
    site,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("valid_from", String(10), primary_key=True),  # local day
    Column("group_name", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What was done to the registry, and by whom: what the site file does not know of.
registry_change = Table(
    "registry_change",
    site,
    Column("number", _BIG_KEY, primary_key=True, autoincrement=True),
    Column("what", String(32), nullable=False),  # move-in, move-out, exchange, group, import …
    Column("subject", Text, nullable=False, index=True),  # account, usage point or meter
    Column("text", Text, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)

user = Table(
    "user_account",
    site,
    Column("login", Text, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("account_id", ForeignKey("account.id")),
    Column("password_hash", Text, nullable=False),
)

# ---- site: reads ---------------------------------------------------------------------------------------------------

# One row: how far the journal is processed and what became of it, advanced in the same transaction as the reads.
checkpoint = Table(
    "checkpoint",
    site,
    Column("name", String(16), primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("reads_stored", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("replaced", BigInteger, nullable=False),
)

# The day comes first in the key: what arrives together lies together.
day_block = Table(
    "day_block",
    site,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("meter", Integer, primary_key=True, autoincrement=False),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("interval_s", Integer, nullable=False),
    Column("settled", Boolean, nullable=False),
    Column("present", SmallInteger, nullable=False),
    Column("estimated", SmallInteger, nullable=False),
    Column("reads", LargeBinary, nullable=False),  # int32 or int64, little-endian
    Column("quality", LargeBinary, nullable=False),  # this and `reads` are empty where only InfluxDB has the block
    Column("version", LargeBinary),  # null: 1 where there is a value
    Column("flags", LargeBinary),  # null: all zero
    Column("register", LargeBinary),  # null: none; else uint16 places, then int64 registers
    sqlite_with_rowid=False,
)
Index(
    "ix_day_block_open",
    day_block.c.day,
    sqlite_where=day_block.c.settled.is_(False),
    postgresql_where=day_block.c.settled.is_(False),
)

# What InfluxDB has not confirmed yet, a row a day block.
unsent = Table(
    "unsent",
    site,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("meter", Integer, primary_key=True, autoincrement=False),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("since_us", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),  # how often it was saved since: tells a newer change
    Column("changed", LargeBinary, nullable=False),  # a bit an interval
    sqlite_with_rowid=False,
)

# Days of which InfluxDB was read back and found to hold what the site database held, which then let go of them.
moved_day = Table(
    "moved_day",
    site,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("blocks", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("moved_us", BigInteger, nullable=False),
)

# What gateways tell of themselves and of meters beside reads; never billed, so a float will do.
telemetry = Table(
    "telemetry",
    site,
    Column("at_s", BigInteger, primary_key=True, autoincrement=False),
    Column("gateway", Text, primary_key=True),
    Column("meter", Text, primary_key=True),  # "": the gateway itself
    Column("quantity", String(32), primary_key=True),  # with its unit: voltage_v, signal_dbm, battery_v, clock_offset_s
    Column("value", Float, nullable=False),
    Column("sent", Boolean, nullable=False),  # InfluxDB has it, or need not
    sqlite_with_rowid=False,
)
Index(
    "ix_telemetry_unsent",
    telemetry.c.at_s,
    sqlite_where=telemetry.c.sent.is_(False),
    postgresql_where=telemetry.c.sent.is_(False),
)
# Of a meter whoever told it, and of one gateway itself.
Index("ix_telemetry_meter", telemetry.c.meter, telemetry.c.gateway, telemetry.c.at_s)

# Reads of cumulative registers at any moment, of devices that tell nothing else; intervals are made of them.
register_read = Table(
    "register_read",
    site,
    Column("meter", Integer, primary_key=True, autoincrement=False),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("at_s", BigInteger, primary_key=True, autoincrement=False),
    Column("register", BigInteger, nullable=False),
    Column("serial", Text),  # of the device that counted; null where it does not say
    sqlite_with_rowid=False,
)

interval_history = Table(
    "interval_history",
    site,
    Column("meter", Integer, primary_key=True, autoincrement=False),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("version", SmallInteger, primary_key=True, autoincrement=False),
    Column("superseded_us", BigInteger, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
    Column("quality", SmallInteger, nullable=False),
    Column("superseded_by", Text, nullable=False),
    sqlite_with_rowid=False,
)

finding = Table(
    "finding",
    site,
    Column("meter", Integer, primary_key=True, autoincrement=False),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("rule", String(8), primary_key=True),
    Column("severity", String(8), nullable=False),
    Column("detail", Text, nullable=False),
    Column("rule_set", Text, nullable=False),
    Column("found_us", BigInteger, nullable=False),
    Column("end_s", BigInteger),  # null: one interval
    sqlite_with_rowid=False,
)

# What a person is asked about: a stretch of one channel's intervals, and one rule or anomaly. A queue.
exception = Table(
    "exception",
    site,
    Column("id", _BIG_KEY, primary_key=True),
    Column("meter", Integer, nullable=False),
    Column("channel", BigInteger, nullable=False),
    Column("rule", String(16), nullable=False),  # V1 to V13, an anomaly, or "hand": somebody asked to look
    Column("start_s", BigInteger, nullable=False),
    Column("end_s", BigInteger, nullable=False),
    Column("severity", String(8), nullable=False),
    Column("score", Float, nullable=False),  # 0 to 1: what to look at first
    Column("detail", Text, nullable=False),
    Column("rule_set", Text, nullable=False),
    Column("holds_bill", Boolean, nullable=False),
    Column("state", String(8), nullable=False),  # open, waiting (for a second person), closed
    Column("outcome", String(16)),  # accepted, edited, estimated, rejected, cleared (by what came later); null: open
    Column("opened_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("reason", Text),
    Column("note", Text),
)
Index("ix_exception_channel", exception.c.meter, exception.c.channel, exception.c.start_s)
Index(
    "ix_exception_open",
    exception.c.score,
    sqlite_where=exception.c.state != "closed",
    postgresql_where=exception.c.state != "closed",
)

# What a person did, or wants to do, about an exception. Nothing is ever changed in what was done.
edit = Table(
    "edit",
    site,
    Column("id", _BIG_KEY, primary_key=True),
    Column("exception_id", ForeignKey("exception.id"), nullable=False, index=True),
    Column("action", String(16), nullable=False),  # accept, edit, estimate, reject
    Column("method", String(16)),  # of an estimate
    Column("start_s", BigInteger, nullable=False),
    Column("end_s", BigInteger, nullable=False),
    Column("given", Text),  # JSON: the values, of an edit or estimate, and a digest of the reads they take the place of
    Column("reason", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("change", BigInteger, nullable=False),  # energy after − energy before [base units]
    Column("state", String(8), nullable=False),  # waiting (for a second person), done, refused
    Column("made_us", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("second_us", BigInteger),
    Column("second_by", Text),
)

# What an estimated day rests on: should a read of these days change, the day is estimated again.
estimate_basis = Table(
    "estimate_basis",
    site,
    Column("meter", Integer, primary_key=True, autoincrement=False),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("first_day", Integer, nullable=False),
    Column("end_day", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The last weeks of each channel, a few numbers a day: what rules that look back are told.
daily_use = Table(
    "daily_use",
    site,
    Column("meter", Integer, primary_key=True, autoincrement=False),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("end_day", Integer, nullable=False),
    Column("days", LargeBinary, nullable=False),  # int64: total, peak, low, unread, flags of each day before end_day
    sqlite_with_rowid=False,
)

quarantine = Table(
    "quarantine",
    site,
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("path", String(64), primary_key=True),  # to the piece, "blocks.3"; "": the whole message
    Column("received_us", BigInteger, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("fault", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("excerpt", Text, nullable=False),
)

# What gateways and pollers tell beside reads: tamper, outage, battery, restart, a device that does not answer.
event = Table(
    "event",
    site,
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),  # in its message
    Column("at_s", BigInteger, nullable=False, index=True),
    Column("gateway", Text, nullable=False, index=True),
    Column("meter", Text, index=True),  # null: the gateway itself
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
)

# The names behind a Sparkplug node's aliases, since its last birth.
sparkplug_birth = Table(
    "sparkplug_birth",
    site,
    Column("node", Text, primary_key=True),  # group/edge node
    Column("device", Text, primary_key=True),  # "": the node itself
    Column("born_us", BigInteger, nullable=False),
    Column("metrics", Text, nullable=False),  # JSON of BirthMetrics
)

# ---- site: downlink ------------------------------------------------------------------------------------------------

command = Table(
    "command",
    site,
    Column("id", _BIG_KEY, primary_key=True),
    Column("gateway", Text, nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("args", Text, nullable=False),  # JSON
    Column("state", String(16), nullable=False, index=True),
    Column("detail", Text, nullable=False),  # what the gateway said last
    Column("attempts", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("sent_us", BigInteger),
    Column("expires_us", BigInteger, nullable=False),
    Column("wanted", Text),  # firmware: JSON [first, end) of the chunks the gateway asks for
)

firmware_image = Table(
    "firmware_image",
    site,
    Column("version", Text, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("signature", LargeBinary, nullable=False),  # Ed25519 over the image
    Column("image", LargeBinary, nullable=False),
    Column("added_us", BigInteger, nullable=False),
    Column("added_by", Text, nullable=False),
)

# ---- site: billing -------------------------------------------------------------------------------------------------

bill_cycle = Table(
    "bill_cycle",
    site,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("period", String(7), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("totals", Text, nullable=False),  # JSON of ControlTotals
    Column("scope", Text, nullable=False),  # JSON of CycleScope
    UniqueConstraint("name", "period"),
)

# A trigger keeps issued statements from any change.
statement = Table(
    "statement",
    site,
    Column("id", Text, primary_key=True),
    Column("cycle_id", ForeignKey("bill_cycle.id"), nullable=False, index=True),
    Column("account_id", ForeignKey("account.id"), nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("period", String(7), nullable=False),
    Column("kind", String(16)),  # as in the document; null: a bill as usual
    Column("corrects", Text),  # id of the statement that a correction is about
    Column("currency", String(3), nullable=False),
    Column("total", String(24), nullable=False),
    Column("due", String(24)),  # what is asked for now, of an account that pays by instalments; null: the total
    Column("document", LargeBinary, nullable=False),  # canonical JSON: the record
    Column("sha256", String(64), nullable=False),
    Column("previous_sha256", String(64)),
    Column("issued_us", BigInteger),
    UniqueConstraint("cycle_id", "account_id", "revision"),
)
# Few statements are corrections: what is corrected is found among these alone.
Index(
    "ix_statement_corrects",
    statement.c.corrects,
    sqlite_where=statement.c.corrects.is_not(None),
    postgresql_where=statement.c.corrects.is_not(None),
)

# Who took a cycle how far, and when: a cycle's history.
bill_step = Table(
    "bill_step",
    site,
    Column("cycle_id", ForeignKey("bill_cycle.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("step", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("done_us", BigInteger, nullable=False),
    Column("done_by", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What a run has committed: drafts and exceptions of a range of accounts, in the transaction that adds the row.
bill_partition = Table(
    "bill_partition",
    site,
    Column("cycle_id", ForeignKey("bill_cycle.id"), primary_key=True),
    Column("run", Integer, primary_key=True, autoincrement=False),  # of the cycle, counted from 1
    Column("first_account", Text, primary_key=True),
    Column("last_account", Text, nullable=False),
    Column("accounts", Integer, nullable=False),
    Column("totals", Text),  # JSON of ControlTotals; null: not rated yet
    Column("committed_us", BigInteger),
    sqlite_with_rowid=False,
)

# What looks wrong about a draft, and what a clerk decided about it. Figures that stay the same keep their decision.
bill_finding = Table(
    "bill_finding",
    site,
    Column("cycle_id", ForeignKey("bill_cycle.id"), primary_key=True),
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("code", String(32), primary_key=True),
    Column("detail", Text, nullable=False),
    Column("figures", String(64), nullable=False),  # SHA-256 of what the finding rests on
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Text),
    Column("decided_us", BigInteger),
    Column("decided_by", Text),
    Column("confirmed_us", BigInteger),  # by a second person, where one is asked for
    Column("confirmed_by", Text),
    sqlite_with_rowid=False,
)

# Accounts that a clerk leaves out of a cycle.
bill_exclusion = Table(
    "bill_exclusion",
    site,
    Column("cycle_id", ForeignKey("bill_cycle.id"), primary_key=True),
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("excluded_us", BigInteger, nullable=False),
    Column("excluded_by", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What alike bills of an issued cycle used: bills of the next period are held against it.
peer_use = Table(
    "peer_use",
    site,
    Column("cycle_id", ForeignKey("bill_cycle.id"), primary_key=True),
    Column("commodity", Text, primary_key=True),
    Column("unit", String(8), primary_key=True),
    Column("tariff_id", Text, primary_key=True),
    Column("customer_class", Text, primary_key=True),
    Column("bills", Integer, nullable=False),
    Column("median", BigInteger, nullable=False),  # thousandths of the unit a day
    Column("made_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What the running billing period of an account costs so far.
accrual = Table(
    "accrual",
    site,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("currency", String(3)),  # null: it cannot be rated
    Column("amount", String(24)),
    Column("through_s", BigInteger),  # up to where there are reads
    Column("document", LargeBinary, nullable=False),  # JSON: by tier and TOU period, the forecast, problems
    Column("made_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Reads that accruals do not know of yet: a row a day and transaction that stored some.
changed_reads = Table(
    "changed_reads",
    site,
    Column("number", _BIG_KEY, primary_key=True, autoincrement=True),
    Column("day", Integer, nullable=False),  # UTC
    Column("meters", LargeBinary, nullable=False),  # int32, little-endian
)

# What an account pays each month on account of its bills, from a billing period on.
budget_plan = Table(
    "budget_plan",
    site,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("since", String(7), primary_key=True),  # billing period
    Column("instalment", String(24), nullable=False),  # each period; 0: the plan ends
    Column("currency", String(3), nullable=False),
    Column("settles_in", SmallInteger, nullable=False),  # month of the year whose bill settles the rest
    Column("added_us", BigInteger, nullable=False),
    Column("added_by", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Issued statements whose reads have changed since. The statement stays; a clerk decides whether to bill again.
rebill_flag = Table(
    "rebill_flag",
    site,
    Column("statement_id", ForeignKey("statement.id"), primary_key=True),
    Column("meter", Integer, primary_key=True, autoincrement=False),
    Column("channel", BigInteger, primary_key=True, autoincrement=False),
    Column("first_s", BigInteger, nullable=False),  # the stretch in which values changed
    Column("end_s", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),  # energy now − energy when it was issued [base units]
    Column("cause", Text, nullable=False),  # what changed them last: journal entries, a rule set, a user
    Column("flagged_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("settled_by", Text),  # id of the correction that took it into account, or a clerk; null: it is open
    Column("settled_reason", Text),  # of a clerk who found nothing to correct
    sqlite_with_rowid=False,
)

bill_exception = Table(
    "bill_exception",
    site,
    Column("cycle_id", ForeignKey("bill_cycle.id"), primary_key=True),
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("code", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("held_by", Text),  # JSON list of exceptions of reads that hold the bill; null: none
)

# ---- site: what bills are priced by --------------------------------------------------------------------------------

price_series = Table(
    "price_series",
    site,
    Column("name", Text, primary_key=True),
    Column("currency", String(3), nullable=False),
    Column("unit", String(8), nullable=False),  # kWh or m³
    sqlite_with_rowid=False,
)

# Prices that hold: those of one series do not overlap.
price = Table(
    "price",
    site,
    Column("series", ForeignKey("price_series.name"), primary_key=True),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("end_s", BigInteger, nullable=False),
    Column("price", Text, nullable=False),  # decimal
    Column("version", Integer, nullable=False),  # 1, and one more for every price that was replaced
    Column("imported_us", BigInteger, nullable=False),
    Column("imported_by", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What was published before.
price_history = Table(
    "price_history",
    site,
    Column("series", ForeignKey("price_series.name"), primary_key=True),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("end_s", BigInteger, nullable=False),
    Column("price", Text, nullable=False),
    Column("imported_us", BigInteger, nullable=False),
    Column("imported_by", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Times that a utility calls, such as critical peaks. Those of one list do not overlap.
tariff_event = Table(
    "tariff_event",
    site,
    Column("name", Text, primary_key=True),  # of the list
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("end_s", BigInteger, nullable=False),
    Column("added_us", BigInteger, nullable=False),
    Column("added_by", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Versions that issued statements were made by. A trigger keeps them from any change.
tariff_version = Table(
    "tariff_version",
    site,
    Column("digest", String(64), primary_key=True),
    Column("tariff_id", Text, nullable=False),
    Column("valid_from", String(10), nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON, of which `digest` is the SHA-256
    Column("used_us", BigInteger, nullable=False),
    Column("cycle_id", ForeignKey("bill_cycle.id"), nullable=False),  # the first that was issued with it
    UniqueConstraint("tariff_id", "valid_from"),
)

# ---- site: the books -----------------------------------------------------------------------------------------------

# Amounts are whole minor units of the entry's currency. Triggers keep entries and postings from any change.
book_entry = Table(
    "book_entry",
    site,
    Column("number", _BIG_KEY, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("source", Text, nullable=False, unique=True),  # what it is booked for: nothing is booked twice
    Column("account_id", ForeignKey("account.id"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("booked_on", String(10), nullable=False),
    Column("due_on", String(10)),
    Column("change", BigInteger, nullable=False),  # how much more the customer owes
    Column("balance", BigInteger, nullable=False),  # and what they owe after it, in this currency
    Column("target", Text),  # source of the item that a credit pays first
    Column("reverses", BigInteger, unique=True),  # number of the entry it takes back
    Column("text", Text, nullable=False),
    Column("booked_us", BigInteger, nullable=False),
    Column("booked_by", Text, nullable=False),
    Column("chain", LargeBinary, nullable=False),  # sha256 over the entry and the chain before it
    Index("ix_book_entry_account", "account_id", "currency", "number"),
    Index("ix_book_entry_booked_on", "booked_on", "number"),
)

book_posting = Table(
    "book_posting",
    site,
    Column("entry", ForeignKey("book_entry.number"), primary_key=True, autoincrement=False),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False),  # of the chart of accounts
    Column("amount", BigInteger, nullable=False),  # positive: debit; those of an entry sum to zero
    sqlite_with_rowid=False,
)

# Dunning stages that overdue statements have reached: each is noted once.
dunning_note = Table(
    "dunning_note",
    site,
    Column("statement_id", ForeignKey("statement.id"), primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("account_id", ForeignKey("account.id"), nullable=False, index=True),
    Column("days", Integer, nullable=False),  # overdue then
    Column("open", BigInteger, nullable=False),  # then [minor units]
    Column("noted_on", String(10), nullable=False),
    Column("noted_us", BigInteger, nullable=False),
    Column("noted_by", Text, nullable=False),
    sqlite_with_rowid=False,
)
