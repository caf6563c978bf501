"""The clerk's month: billing groups, runs in partitions, findings and decisions, accruals, budgets, corrections."""

import sqlalchemy as sa
from alembic import op

revision = "site_0007"
down_revision = "site_0006"
branch_labels = None
depends_on = None

# What cycles before this billed.
_EVERYBODY = '{"accounts": [], "final": false, "group": "monthly"}'


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "billing_group",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("first_day", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_billing_group")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "registry_change",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_registry_change")),
    )
    op.create_index(op.f("ix_registry_change_subject"), "registry_change", ["subject"], unique=False)

    op.create_table(
        "account_group",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_account_group_account_id")),
        sa.PrimaryKeyConstraint("account_id", "valid_from", name=op.f("pk_account_group")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "accrual",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("amount", sa.String(length=24), nullable=True),
        sa.Column("through_s", sa.BigInteger(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_accrual_account_id")),
        sa.PrimaryKeyConstraint("account_id", "period", name=op.f("pk_accrual")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "changed_reads",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("meters", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_changed_reads")),
    )
    op.create_table(
        "bill_exclusion",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("excluded_us", sa.BigInteger(), nullable=False),
        sa.Column("excluded_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_bill_exclusion_account_id")),
        sa.ForeignKeyConstraint(["cycle_id"], ["bill_cycle.id"], name=op.f("fk_bill_exclusion_cycle_id")),
        sa.PrimaryKeyConstraint("cycle_id", "account_id", name=op.f("pk_bill_exclusion")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bill_finding",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("figures", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_us", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("confirmed_us", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_bill_finding_account_id")),
        sa.ForeignKeyConstraint(["cycle_id"], ["bill_cycle.id"], name=op.f("fk_bill_finding_cycle_id")),
        sa.PrimaryKeyConstraint("cycle_id", "account_id", "code", name=op.f("pk_bill_finding")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_bill_finding_state"), "bill_finding", ["state"], unique=False)

    op.create_table(
        "bill_partition",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_account", sa.Text(), nullable=False),
        sa.Column("last_account", sa.Text(), nullable=False),
        sa.Column("accounts", sa.Integer(), nullable=False),
        sa.Column("totals", sa.Text(), nullable=True),
        sa.Column("committed_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["cycle_id"], ["bill_cycle.id"], name=op.f("fk_bill_partition_cycle_id")),
        sa.PrimaryKeyConstraint("cycle_id", "run", "first_account", name=op.f("pk_bill_partition")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bill_step",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("done_us", sa.BigInteger(), nullable=False),
        sa.Column("done_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["cycle_id"], ["bill_cycle.id"], name=op.f("fk_bill_step_cycle_id")),
        sa.PrimaryKeyConstraint("cycle_id", "number", name=op.f("pk_bill_step")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budget_plan",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("since", sa.String(length=7), nullable=False),
        sa.Column("instalment", sa.String(length=24), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("settles_in", sa.SmallInteger(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_budget_plan_account_id")),
        sa.PrimaryKeyConstraint("account_id", "since", name=op.f("pk_budget_plan")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "peer_use",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("commodity", sa.Text(), nullable=False),
        sa.Column("unit", sa.String(length=8), nullable=False),
        sa.Column("tariff_id", sa.Text(), nullable=False),
        sa.Column("customer_class", sa.Text(), nullable=False),
        sa.Column("bills", sa.Integer(), nullable=False),
        sa.Column("median", sa.BigInteger(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["cycle_id"], ["bill_cycle.id"], name=op.f("fk_peer_use_cycle_id")),
        sa.PrimaryKeyConstraint(
            "cycle_id", "commodity", "unit", "tariff_id", "customer_class", name=op.f("pk_peer_use")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reading_date",
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("read_on", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(["group_name"], ["billing_group.name"], name=op.f("fk_reading_date_group_name")),
        sa.PrimaryKeyConstraint("group_name", "period", name=op.f("pk_reading_date")),
        sqlite_with_rowid=False,
    )
    op.add_column("bill_cycle", sa.Column("scope", sa.Text(), nullable=False, server_default=_EVERYBODY))

    op.add_column("installation", sa.Column("changed_by", sa.Text(), nullable=True))

    op.add_column("service_agreement", sa.Column("changed_by", sa.Text(), nullable=True))
    op.create_index(op.f("ix_service_agreement_usage_point_id"), "service_agreement", ["usage_point_id"], unique=False)

    op.add_column("statement", sa.Column("kind", sa.String(length=16), nullable=True))
    op.add_column("statement", sa.Column("corrects", sa.Text(), nullable=True))
    op.add_column("statement", sa.Column("due", sa.String(length=24), nullable=True))
    op.create_index(
        "ix_statement_corrects",
        "statement",
        ["corrects"],
        unique=False,
        sqlite_where=sa.text("corrects IS NOT NULL"),
        postgresql_where=sa.text("corrects IS NOT NULL"),
    )

    op.add_column("rebill_flag", sa.Column("settled_by", sa.Text(), nullable=True))
    op.add_column("rebill_flag", sa.Column("settled_reason", sa.Text(), nullable=True))
