"""VEE: exceptions and edits, what estimates rest on, the daily use of channels, statements to bill again."""

import sqlalchemy as sa
from alembic import op

revision = "site_0004"
down_revision = "site_0003"
branch_labels = None
depends_on = None

_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    with op.batch_alter_table("finding") as finding:
        finding.add_column(sa.Column("end_s", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("bill_exception") as bill_exception:
        bill_exception.add_column(sa.Column("held_by", sa.Text(), nullable=True))
    op.create_table(
        "exception",
        sa.Column("id", _BIG_KEY, nullable=False),
        sa.Column("meter", sa.Integer(), nullable=False),
        sa.Column("channel", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(length=16), nullable=False),
        sa.Column("start_s", sa.BigInteger(), nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("rule_set", sa.Text(), nullable=False),
        sa.Column("holds_bill", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exception")),
    )
    op.create_index("ix_exception_channel", "exception", ["meter", "channel", "start_s"], unique=False)
    op.create_index(
        "ix_exception_open",
        "exception",
        ["score"],
        unique=False,
        sqlite_where=sa.text("state != 'closed'"),
        postgresql_where=sa.text("state != 'closed'"),
    )
    op.create_table(
        "edit",
        sa.Column("id", _BIG_KEY, nullable=False),
        sa.Column("exception_id", _BIG_KEY, nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=True),
        sa.Column("start_s", sa.BigInteger(), nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.Column("given", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("second_us", sa.BigInteger(), nullable=True),
        sa.Column("second_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["exception_id"], ["exception.id"], name=op.f("fk_edit_exception_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edit")),
    )
    op.create_index(op.f("ix_edit_exception_id"), "edit", ["exception_id"], unique=False)
    op.create_table(
        "estimate_basis",
        sa.Column("meter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_day", sa.Integer(), nullable=False),
        sa.Column("end_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "channel", "day", name=op.f("pk_estimate_basis")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "daily_use",
        sa.Column("meter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end_day", sa.Integer(), nullable=False),
        sa.Column("days", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "channel", name=op.f("pk_daily_use")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rebill_flag",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("meter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_s", sa.BigInteger(), nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("flagged_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["statement_id"], ["statement.id"], name=op.f("fk_rebill_flag_statement_id")),
        sa.PrimaryKeyConstraint("statement_id", "meter", "channel", name=op.f("pk_rebill_flag")),
        sqlite_with_rowid=False,
    )
