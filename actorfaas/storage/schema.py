"""The tables of both databases, as migrations: each list entry takes a database from one version to the next.

`state.sqlite` holds what must not be lost; `logs.sqlite` holds what functions print and the calls of traces, apart, so
that a chatty function does not delay a durable step. A released entry is never edited; a change is a new entry at the
end.

An execution's events are stored under `execution << EVENT_BITS | seq`: clustered by execution and unique by sequence
number with one tree instead of two. Bodies are apart from the rows that listings walk. A body above the spill limit
is in a file, and its row holds the file's name; the partial indexes find those names again.
"""

from __future__ import annotations

EVENT_BITS = 20
"""An execution has at most 2**20 - 1 events (Step Functions allows 25,000)."""

STATE_APPLICATION_ID = 0x61466153  # "aFaS"
LOGS_APPLICATION_ID = 0x6146614C  # "aFaL"

STATE_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE execution (
        id INTEGER PRIMARY KEY,
        execution_id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        app TEXT NOT NULL,
        version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        durability TEXT NOT NULL,
        status INTEGER NOT NULL,
        deadline_at_ms INTEGER NOT NULL,
        started_at_ms INTEGER NOT NULL,
        ended_at_ms INTEGER NOT NULL,
        traceparent TEXT NOT NULL,
        error_type TEXT NOT NULL,
        error_message TEXT NOT NULL
    );
    CREATE INDEX execution_by_name ON execution (name, status);
    CREATE INDEX execution_by_name_only ON execution (name);
    CREATE INDEX execution_by_status ON execution (status);

    CREATE TABLE execution_input (execution INTEGER PRIMARY KEY, body BLOB NOT NULL, file TEXT);
    CREATE INDEX execution_input_file ON execution_input (file) WHERE file IS NOT NULL;
    CREATE TABLE execution_output (execution INTEGER PRIMARY KEY, body BLOB NOT NULL, file TEXT);
    CREATE INDEX execution_output_file ON execution_output (file) WHERE file IS NOT NULL;

    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        type TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        worker_topic TEXT NOT NULL,
        start_kind TEXT NOT NULL,
        queue_ns INTEGER NOT NULL,
        start_ns INTEGER NOT NULL,
        run_ns INTEGER NOT NULL,
        gap_ns INTEGER NOT NULL,
        error_type TEXT NOT NULL,
        error_message TEXT NOT NULL,
        body BLOB NOT NULL,
        file TEXT
    );
    CREATE INDEX event_file ON event (file) WHERE file IS NOT NULL;

    CREATE TABLE idempotency_key (
        key TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        execution_id TEXT NOT NULL,
        expires_at_ms INTEGER NOT NULL
    );
    CREATE INDEX idempotency_key_by_expiry ON idempotency_key (expires_at_ms);

    CREATE TABLE key_value (
        id INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        body BLOB NOT NULL,
        file TEXT
    );
    CREATE UNIQUE INDEX key_value_by_key ON key_value (namespace, key);
    CREATE INDEX key_value_file ON key_value (file) WHERE file IS NOT NULL;
    CREATE TABLE key_value_version (namespace TEXT PRIMARY KEY, latest INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE deployment (
        id INTEGER PRIMARY KEY,
        app TEXT NOT NULL,
        version INTEGER NOT NULL,
        active INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL,
        bundle TEXT NOT NULL,
        functions TEXT NOT NULL,
        workflows TEXT NOT NULL,
        UNIQUE (app, version)
    );
    CREATE UNIQUE INDEX deployment_active ON deployment (app) WHERE active;
    """,
    """
    CREATE TABLE working_set (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        function_topic TEXT NOT NULL UNIQUE,
        record BLOB NOT NULL
    );
    """,
    "CREATE INDEX idempotency_key_by_execution ON idempotency_key (execution_id);",
    "ALTER TABLE event ADD COLUMN branch INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE event ADD COLUMN item INTEGER NOT NULL DEFAULT -1;",
    """
    ALTER TABLE execution ADD COLUMN redrive_count INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE execution ADD COLUMN redriven_at_ms INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE event ADD COLUMN memory_mb INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE event ADD COLUMN span_id TEXT NOT NULL DEFAULT '';
    CREATE INDEX execution_by_trace ON execution (substr(traceparent, 4, 32)) WHERE traceparent != '';
    """,
    """
    CREATE TABLE key_value_expiry (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
    CREATE INDEX key_value_by_expiry ON key_value_expiry (at_ms);
    """,
    "CREATE TABLE activity (name TEXT PRIMARY KEY, created_at_ms INTEGER NOT NULL) WITHOUT ROWID;",
    """
    DROP INDEX execution_by_name;
    DROP INDEX execution_by_name_only;
    DROP INDEX execution_by_status;
    ALTER TABLE execution ADD COLUMN given_name TEXT NOT NULL DEFAULT '';
    CREATE INDEX execution_by_start ON execution (started_at_ms);
    CREATE INDEX execution_by_name ON execution (name, started_at_ms);
    CREATE INDEX execution_by_status ON execution (status, started_at_ms);
    CREATE INDEX execution_by_name_and_status ON execution (name, status, started_at_ms);
    CREATE INDEX execution_by_given_name ON execution (given_name) WHERE given_name != '';
    CREATE TABLE execution_name (
        workflow TEXT NOT NULL,
        name TEXT NOT NULL,
        execution_id TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        claimed_at_ms INTEGER NOT NULL,
        is_started INTEGER NOT NULL,
        PRIMARY KEY (workflow, name)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX execution_name_by_execution ON execution_name (execution_id);
    CREATE INDEX execution_name_void ON execution_name (claimed_at_ms) WHERE is_started = 0;
    """,
    """
    ALTER TABLE event ADD COLUMN page_in_ns INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE event ADD COLUMN page_in_lead_ns INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE event ADD COLUMN page_in_bytes INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE learned (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL,
        kind TEXT NOT NULL,
        record BLOB NOT NULL,
        UNIQUE (topic, kind)
    );
    CREATE INDEX learned_by_kind ON learned (kind);
    INSERT INTO learned (topic, kind, record) SELECT function_topic, 'working_set', record FROM working_set ORDER BY id;
    DROP TABLE working_set;
    """,
)

LOGS_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE log_line (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        function TEXT NOT NULL,
        version INTEGER NOT NULL,
        request_id TEXT NOT NULL,
        execution_id TEXT NOT NULL,
        pid INTEGER NOT NULL,
        stream TEXT NOT NULL,
        level TEXT NOT NULL,
        text TEXT NOT NULL
    );
    CREATE INDEX log_line_by_function ON log_line (function);
    CREATE INDEX log_line_by_request ON log_line (request_id) WHERE request_id != '';
    CREATE INDEX log_line_by_execution ON log_line (execution_id) WHERE execution_id != '';
    """,
    """
    ALTER TABLE log_line ADD COLUMN trace_id TEXT NOT NULL DEFAULT '';
    CREATE INDEX log_line_by_trace ON log_line (trace_id) WHERE trace_id != '';
    CREATE TABLE traced_call (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        trace_id TEXT NOT NULL,
        span_id TEXT NOT NULL,
        parent_id TEXT NOT NULL,
        run_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        function TEXT NOT NULL,
        version INTEGER NOT NULL,
        worker_topic TEXT NOT NULL,
        start_kind TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        status INTEGER NOT NULL,
        error TEXT NOT NULL,
        began_at_us INTEGER NOT NULL,
        took_ns INTEGER NOT NULL,
        before_ns INTEGER NOT NULL,
        queue_ns INTEGER NOT NULL,
        page_in_ns INTEGER NOT NULL,
        start_ns INTEGER NOT NULL,
        run_ns INTEGER NOT NULL
    );
    CREATE INDEX traced_call_by_trace ON traced_call (trace_id);
    CREATE INDEX traced_call_by_function ON traced_call (function);
    """,
)
