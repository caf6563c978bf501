"""What bills are priced by: published prices and events, and the tariff versions that statements were made by."""

import sqlalchemy as sa
from alembic import op

revision = "site_0005"
down_revision = "site_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "price_series",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("unit", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_price_series")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "price",
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("start_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("imported_us", sa.BigInteger(), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["series"], ["price_series.name"], name=op.f("fk_price_series")),
        sa.PrimaryKeyConstraint("series", "start_s", name=op.f("pk_price")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "price_history",
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("start_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("imported_us", sa.BigInteger(), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["series"], ["price_series.name"], name=op.f("fk_price_history_series")),
        sa.PrimaryKeyConstraint("series", "start_s", "version", name=op.f("pk_price_history")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tariff_event",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("start_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "start_s", name=op.f("pk_tariff_event")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tariff_version",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tariff_id", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["cycle_id"], ["bill_cycle.id"], name=op.f("fk_tariff_version_cycle_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tariff_version")),
        sa.UniqueConstraint("tariff_id", "valid_from", name=op.f("uq_tariff_version_tariff_id_valid_from")),
    )
    for statement in _USED_IS_FINAL[op.get_bind().dialect.name]:
        op.execute(statement)


_USED_IS_FINAL = {
    "sqlite": [
        f"""CREATE TRIGGER tariff_version_used_{what.lower()} BEFORE {what} ON tariff_version
        BEGIN SELECT RAISE(ABORT, 'a tariff version that was billed does not change'); END"""
        for what in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        """CREATE FUNCTION tariff_version_used() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            RAISE EXCEPTION 'a tariff version that was billed does not change'
                USING ERRCODE = 'integrity_constraint_violation';
        END $$""",
        """CREATE TRIGGER tariff_version_used BEFORE UPDATE OR DELETE ON tariff_version FOR EACH ROW
        EXECUTE FUNCTION tariff_version_used()""",
    ],
}
