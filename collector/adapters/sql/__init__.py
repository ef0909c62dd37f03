"""SQL: the small state and what else must be remembered, through SQLAlchemy.

SQLite is the default (WAL, synchronous=FULL, one file, one collector); PostgreSQL is a URL away.
"""

from collector.adapters.sql.engine import StateAway, StateInvalid
from collector.adapters.sql.migrations import StateTooNew
from collector.adapters.sql.schema import SCHEMA_VERSION
from collector.adapters.sql.state import SqlSmallState

__all__ = ["SCHEMA_VERSION", "SqlSmallState", "StateAway", "StateInvalid", "StateTooNew"]
