"""Stores: what InfluxDB has not got yet, what only it has, and telemetry."""

import sqlalchemy as sa
from alembic import op

revision = "site_0003"
down_revision = "site_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "unsent",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("meter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("changed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day", "meter", "channel", name=op.f("pk_unsent")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "moved_day",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("blocks", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("moved_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_moved_day")),
    )
    op.create_table(
        "telemetry",
        sa.Column("at_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("quantity", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("sent", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("at_s", "gateway", "meter", "quantity", name=op.f("pk_telemetry")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_telemetry_unsent",
        "telemetry",
        ["at_s"],
        unique=False,
        sqlite_where=sa.text("sent IS 0"),
        postgresql_where=sa.text("sent IS false"),
    )
    op.create_index("ix_telemetry_meter", "telemetry", ["meter", "gateway", "at_s"], unique=False)
