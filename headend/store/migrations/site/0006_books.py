"""The books: entries, their postings, and the dunning stages that were noted."""

import sqlalchemy as sa
from alembic import op

revision = "site_0006"
down_revision = "site_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    big_key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "book_entry",
        sa.Column("number", big_key, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("booked_on", sa.String(length=10), nullable=False),
        sa.Column("due_on", sa.String(length=10), nullable=True),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("reverses", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("booked_us", sa.BigInteger(), nullable=False),
        sa.Column("booked_by", sa.Text(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_book_entry_account_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_book_entry")),
        sa.UniqueConstraint("source", name=op.f("uq_book_entry_source")),
        sa.UniqueConstraint("reverses", name=op.f("uq_book_entry_reverses")),
    )
    op.create_index("ix_book_entry_account", "book_entry", ["account_id", "currency", "number"], unique=False)
    op.create_index("ix_book_entry_booked_on", "book_entry", ["booked_on", "number"], unique=False)
    op.create_table(
        "book_posting",
        sa.Column("entry", big_key, autoincrement=False, nullable=False),
        sa.Column("place", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["book_entry.number"], name=op.f("fk_book_posting_entry")),
        sa.PrimaryKeyConstraint("entry", "place", name=op.f("pk_book_posting")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dunning_note",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("open", sa.BigInteger(), nullable=False),
        sa.Column("noted_on", sa.String(length=10), nullable=False),
        sa.Column("noted_us", sa.BigInteger(), nullable=False),
        sa.Column("noted_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["statement_id"], ["statement.id"], name=op.f("fk_dunning_note_statement_id")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_dunning_note_account_id")),
        sa.PrimaryKeyConstraint("statement_id", "stage", name=op.f("pk_dunning_note")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_dunning_note_account_id"), "dunning_note", ["account_id"], unique=False)
    for statement in _BOOKED_IS_FINAL[op.get_bind().dialect.name]:
        op.execute(statement)


_TABLES = ("book_entry", "book_posting")
_BOOKED_IS_FINAL = {
    "sqlite": [
        f"""CREATE TRIGGER {table}_{what.lower()} BEFORE {what} ON {table}
        BEGIN SELECT RAISE(ABORT, 'what is booked does not change'); END"""
        for table in _TABLES
        for what in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        """CREATE FUNCTION booked() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            RAISE EXCEPTION 'what is booked does not change' USING ERRCODE = 'integrity_constraint_violation';
        END $$""",
        *(
            f"""CREATE TRIGGER {table}_final BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW
            EXECUTE FUNCTION booked()"""
            for table in _TABLES
        ),
    ],
}
