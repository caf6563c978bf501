"""The first tables of the site."""

import sqlalchemy as sa
from alembic import op

revision = "site_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "account",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("customer_class", sa.Text(), nullable=False),
        sa.Column("locale", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
    )
    op.create_table(
        "bill_cycle",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("totals", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bill_cycle")),
        sa.UniqueConstraint("name", "period", name=op.f("uq_bill_cycle_name_period")),
    )
    op.create_table(
        "checkpoint",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("reads_stored", sa.BigInteger(), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), nullable=False),
        sa.Column("replaced", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_checkpoint")),
    )
    op.create_table(
        "day_block",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("meter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("present", sa.SmallInteger(), nullable=False),
        sa.Column("estimated", sa.SmallInteger(), nullable=False),
        sa.Column("reads", sa.LargeBinary(), nullable=False),
        sa.Column("quality", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.LargeBinary(), nullable=True),
        sa.Column("flags", sa.LargeBinary(), nullable=True),
        sa.Column("register", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("day", "meter", "channel", name=op.f("pk_day_block")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_day_block_open",
        "day_block",
        ["day"],
        unique=False,
        sqlite_where=sa.text("settled IS 0"),
        postgresql_where=sa.text("settled IS false"),
    )
    op.create_table(
        "finding",
        sa.Column("meter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rule", sa.String(length=8), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("rule_set", sa.Text(), nullable=False),
        sa.Column("found_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "channel", "start_s", "rule", name=op.f("pk_finding")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gateway",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("first_seen_s", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_s", sa.BigInteger(), nullable=True),
        sa.Column("online", sa.Boolean(), nullable=True),
        sa.Column("clock_offset_s", sa.Integer(), nullable=True),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_gateway")),
    )
    op.create_table(
        "interval_history",
        sa.Column("meter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("superseded_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.SmallInteger(), nullable=False),
        sa.Column("superseded_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "meter", "channel", "start_s", "version", "superseded_us", name=op.f("pk_interval_history")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("commodity", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter")),
        sa.UniqueConstraint("name", name=op.f("uq_meter_name")),
    )
    op.create_table(
        "quarantine",
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("fault", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("excerpt", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("offset", "block", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "usage_point",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_point")),
    )
    op.create_table(
        "bill_exception",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_bill_exception_account_id")),
        sa.ForeignKeyConstraint(["cycle_id"], ["bill_cycle.id"], name=op.f("fk_bill_exception_cycle_id")),
        sa.PrimaryKeyConstraint("cycle_id", "account_id", name=op.f("pk_bill_exception")),
    )
    op.create_table(
        "installation",
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("installed_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("usage_point_id", sa.Text(), nullable=False),
        sa.Column("removed_s", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"], name=op.f("fk_installation_meter_id")),
        sa.ForeignKeyConstraint(["usage_point_id"], ["usage_point.id"], name=op.f("fk_installation_usage_point_id")),
        sa.PrimaryKeyConstraint("meter_id", "installed_s", name=op.f("pk_installation")),
    )
    op.create_index(op.f("ix_installation_usage_point_id"), "installation", ["usage_point_id"], unique=False)
    op.create_table(
        "meter_channel",
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("max_per_interval", sa.BigInteger(), nullable=False),
        sa.Column("register_digits", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"], name=op.f("fk_meter_channel_meter_id")),
        sa.PrimaryKeyConstraint("meter_id", "channel", name=op.f("pk_meter_channel")),
    )
    op.create_table(
        "service_agreement",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("usage_point_id", sa.Text(), nullable=False),
        sa.Column("commodity", sa.Text(), nullable=False),
        sa.Column("tariff_id", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("valid_to", sa.String(length=10), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_service_agreement_account_id")),
        sa.ForeignKeyConstraint(
            ["usage_point_id"], ["usage_point.id"], name=op.f("fk_service_agreement_usage_point_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_agreement")),
    )
    op.create_index(op.f("ix_service_agreement_account_id"), "service_agreement", ["account_id"], unique=False)
    op.create_table(
        "statement",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total", sa.String(length=24), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("previous_sha256", sa.String(length=64), nullable=True),
        sa.Column("issued_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_statement_account_id")),
        sa.ForeignKeyConstraint(["cycle_id"], ["bill_cycle.id"], name=op.f("fk_statement_cycle_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement")),
        sa.UniqueConstraint(
            "cycle_id", "account_id", "revision", name=op.f("uq_statement_cycle_id_account_id_revision")
        ),
    )
    op.create_index(op.f("ix_statement_account_id"), "statement", ["account_id"], unique=False)
    op.create_index(op.f("ix_statement_cycle_id"), "statement", ["cycle_id"], unique=False)
    op.create_table(
        "user_account",
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_user_account_account_id")),
        sa.PrimaryKeyConstraint("login", name=op.f("pk_user_account")),
    )
    for statement in _ISSUED_IS_FINAL[op.get_bind().dialect.name]:
        op.execute(statement)


_ISSUED_IS_FINAL = {
    "sqlite": [
        f"""CREATE TRIGGER statement_issued_{what.lower()} BEFORE {what} ON statement WHEN OLD.state = 'issued'
        BEGIN SELECT RAISE(ABORT, 'an issued statement does not change'); END"""
        for what in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        """CREATE FUNCTION statement_issued() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            RAISE EXCEPTION 'an issued statement does not change' USING ERRCODE = 'integrity_constraint_violation';
        END $$""",
        """CREATE TRIGGER statement_issued BEFORE UPDATE OR DELETE ON statement FOR EACH ROW
        WHEN (OLD.state = 'issued') EXECUTE FUNCTION statement_issued()""",
    ],
}
