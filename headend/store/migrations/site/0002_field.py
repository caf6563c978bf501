"""The field: constants, Modbus devices, register reads, events, commands, firmware."""

import sqlalchemy as sa
from alembic import op

revision = "site_0002"
down_revision = "site_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "command",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("sent_us", sa.BigInteger(), nullable=True),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command")),
    )
    op.create_index(op.f("ix_command_gateway"), "command", ["gateway"], unique=False)
    op.create_index(op.f("ix_command_state"), "command", ["state"], unique=False)
    op.create_table(
        "event",
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("offset", "place", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_at_s"), "event", ["at_s"], unique=False)
    op.create_index(op.f("ix_event_gateway"), "event", ["gateway"], unique=False)
    op.create_index(op.f("ix_event_meter"), "event", ["meter"], unique=False)
    op.create_table(
        "firmware_image",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("image", sa.LargeBinary(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_firmware_image")),
    )
    op.create_table(
        "gas_quality",
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("calorific_value", sa.String(length=16), nullable=False),
        sa.Column("conversion", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("area", "valid_from", name=op.f("pk_gas_quality")),
    )
    op.create_table(
        "register_read",
        sa.Column("meter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("register", sa.BigInteger(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("meter", "channel", "at_s", name=op.f("pk_register_read")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sparkplug_birth",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("born_us", sa.BigInteger(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("node", "device", name=op.f("pk_sparkplug_birth")),
    )
    op.create_table(
        "channel_constant",
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("valid_from_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("numerator", sa.BigInteger(), nullable=False),
        sa.Column("denominator", sa.BigInteger(), nullable=False),
        sa.Column("made_of", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"], name=op.f("fk_channel_constant_meter_id")),
        sa.PrimaryKeyConstraint("meter_id", "channel", "valid_from_s", name=op.f("pk_channel_constant")),
    )
    op.create_table(
        "modbus_device",
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("unit", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"], name=op.f("fk_modbus_device_meter_id")),
        sa.PrimaryKeyConstraint("meter_id", name=op.f("pk_modbus_device")),
    )
    with op.batch_alter_table("quarantine") as quarantine:
        quarantine.alter_column("block", new_column_name="path", existing_type=sa.Integer(), type_=sa.String(64))
    op.execute("UPDATE quarantine SET path = CASE WHEN path = '-1' THEN '' ELSE 'blocks.' || path END")
    op.add_column("gateway", sa.Column("native", sa.Boolean(), nullable=True))
    op.execute("UPDATE gateway SET native = (first_seen_s IS NOT NULL)")
    op.add_column("gateway", sa.Column("firmware", sa.Text(), nullable=True))
    op.add_column("gateway", sa.Column("token_sha256", sa.String(length=64), nullable=True))
    op.add_column("gateway", sa.Column("revoked_s", sa.BigInteger(), nullable=True))
    op.add_column("usage_point", sa.Column("gas_area", sa.Text(), nullable=True))
