"""Schema: the tables of the small state, as the newest version has them."""

import sqlalchemy as sa  # noqa: TID251 - this is the adapter

SCHEMA_VERSION = 4

meta = sa.MetaData()
facts = sa.Table(
    "fact",
    meta,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
epochs = sa.Table(
    "epoch",
    meta,
    sa.Column("gateway", sa.String(63), primary_key=True),
    sa.Column("epoch", sa.String(26), primary_key=True),
    sa.Column("stored", sa.Text, nullable=False),
    sa.Column("lost", sa.Text, nullable=False),
    sa.Column("released", sa.Text, nullable=False),
    sa.Column("next", sa.BigInteger, nullable=False),
    sa.Column("named", sa.Boolean, nullable=False),
)
batches = sa.Table(
    "batch",
    meta,
    sa.Column("gateway", sa.String(63), primary_key=True),
    sa.Column("epoch", sa.String(26), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("received_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("readings", sa.Integer, nullable=False),
)
quarantine = sa.Table(
    "quarantine",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("gateway", sa.String(63), nullable=False),
    sa.Column("epoch", sa.String(26)),
    sa.Column("sequence", sa.BigInteger),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("received_ms", sa.BigInteger, nullable=False),
    sa.Column("content_type", sa.String(64), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("gateway", "digest", "reason"),
)
gateways = sa.Table(
    "gateway",
    meta,
    sa.Column("gateway", sa.String(63), primary_key=True),
    sa.Column("district", sa.String(6), nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
    sa.Column("state_ms", sa.BigInteger, nullable=False),
    sa.Column("link", sa.String(16), nullable=False),
    sa.Column("link_ms", sa.BigInteger, nullable=False),
)

# ---- version 2: what settlement and the jobs remember

counters = sa.Table(
    "counter",
    meta,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
dirty_days = sa.Table(
    "dirty_day",
    meta,
    sa.Column("meter", sa.String(63), primary_key=True),
    sa.Column("day_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
entries = sa.Table(
    "entry",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("meter", sa.String(63), nullable=False),
    sa.Column("quantity", sa.String(64), nullable=False),
    sa.Column("start_ms", sa.BigInteger, nullable=False),
    sa.Column("end_ms", sa.BigInteger),
    sa.Column("value", sa.Double),
    sa.Column("closing", sa.Double),
    sa.Column("before", sa.Double),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("undoes", sa.Integer, index=True),
    # The span it concerns, an UNDO's being that of what it takes back; open where NULL.
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger),
    sa.Index("ix_entry_meter_since_ms", "meter", "since_ms"),
)
job_runs = sa.Table(
    "job_run",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("job", sa.String(64), nullable=False),
    sa.Column("period_ms", sa.BigInteger, nullable=False),
    sa.Column("began_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("ended_ms", sa.BigInteger),
    sa.Column("outcome", sa.String(16), nullable=False, index=True),
    sa.Column("said", sa.Text, nullable=False),
    sa.Index("ix_job_run_job_period_ms", "job", "period_ms"),
)
findings = sa.Table(
    "finding",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("institution", sa.String(63), nullable=False),
    sa.Column("day_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("meter", sa.String(63), nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("advice", sa.Text, nullable=False),
)
register_breaks = sa.Table(
    "register_break",
    meta,
    sa.Column("meter", sa.String(63), primary_key=True),
    sa.Column("quantity", sa.String(64), primary_key=True),
    sa.Column("at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("left_ms", sa.BigInteger, nullable=False),
    sa.Column("ending", sa.String(16), nullable=False),
    sa.Column("closed", sa.BigInteger, nullable=False),
    sa.Column("opened", sa.BigInteger, nullable=False),
    sa.Column("multiplier", sa.Double, nullable=False),
)

# ---- version 3: which days are in doubt

register_doubts = sa.Table(
    "register_doubt",
    meta,
    sa.Column("meter", sa.String(63), primary_key=True),
    sa.Column("day_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("quantity", sa.String(64), primary_key=True),
    sqlite_with_rowid=False,
)


# ---- version 4: what was settled and no rule has looked at yet

settled_days = sa.Table(
    "settled_day",
    meta,
    sa.Column("meter", sa.String(63), primary_key=True),
    sa.Column("day_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# ---- version 4: alerts as they stand, their steps, and what was said to whom

standing_alerts = sa.Table(
    "standing_alert",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("subject_kind", sa.String(16), nullable=False),
    sa.Column("subject_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("moved_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("fired_ms", sa.BigInteger, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),  # the `Alert`, as JSON
    sa.Index("ix_standing_alert_subject", "subject_id", "subject_kind"),
)
alert_steps = sa.Table(
    "alert_step",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("alert", sa.Integer, nullable=False, index=True),
    sa.Column("before", sa.String(16)),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("moved_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),  # the `Alert` after it, as JSON
)
notices = sa.Table(
    "notice",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(200), nullable=False, unique=True),
    sa.Column("chain", sa.String(200), nullable=False),
    sa.Column("receiver", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False),
    sa.Column("again_ms", sa.BigInteger, nullable=False),
    sa.Column("made_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),  # the `Notice`, as JSON
    sa.Index("ix_notice_state_again_ms", "state", "again_ms"),
)
notice_alerts = sa.Table(
    "notice_alert",
    meta,
    sa.Column("notice", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("alert", sa.Integer, primary_key=True, autoincrement=False, index=True),
)
attempts = sa.Table(
    "attempt",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("notice", sa.Integer, nullable=False, index=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("channel", sa.String(64), nullable=False),
    sa.Column("sent", sa.Boolean, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
)
silences = sa.Table(
    "silence",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("matcher", sa.Text, nullable=False),  # JSON
    sa.Column("start_ms", sa.BigInteger, nullable=False),
    sa.Column("end_ms", sa.BigInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger),
)
memories = sa.Table(
    "memory",
    meta,
    sa.Column("name", sa.String(80), primary_key=True),  # "dispatch", "judged/GATEWAY"
    sa.Column("cursor", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
