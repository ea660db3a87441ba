"""The tables of the index, and how an older index becomes a newer one."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE roots (
        root TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        workspace TEXT NOT NULL,
        seen REAL NOT NULL
    ) STRICT;
    CREATE INDEX roots_of_workspace ON roots (workspace_id, seen);

    CREATE TABLE trust (
        workspace_id TEXT PRIMARY KEY,
        trusted_by TEXT NOT NULL,
        trusted_at REAL NOT NULL
    ) STRICT;

    CREATE TABLE catalogues (
        workspace_id TEXT NOT NULL,
        root TEXT NOT NULL,
        read_at REAL NOT NULL,
        catalogue BLOB NOT NULL,
        PRIMARY KEY (workspace_id, root)
    ) STRICT;

    CREATE TABLE stale (
        workspace_id TEXT NOT NULL,
        role TEXT NOT NULL,
        why TEXT NOT NULL,
        PRIMARY KEY (workspace_id, role)
    ) STRICT;

    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        workspace_id TEXT NOT NULL,
        role TEXT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT NOT NULL DEFAULT '',
        version TEXT NOT NULL DEFAULT '',
        request BLOB NOT NULL,
        created REAL NOT NULL,
        started REAL,
        ended REAL,
        cancel_asked_by TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX runs_of_workspace ON runs (workspace_id, id);
    CREATE INDEX active_runs ON runs (id) WHERE ended IS NULL;

    CREATE TABLE stages (
        run_uid TEXT NOT NULL REFERENCES runs (uid) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        key TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        attempt INTEGER NOT NULL DEFAULT 0,
        started REAL,
        ended REAL,
        progress TEXT NOT NULL DEFAULT '',
        fraction REAL,
        error TEXT NOT NULL DEFAULT '',
        next_step TEXT NOT NULL DEFAULT '',
        result BLOB,
        PRIMARY KEY (run_uid, key)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE images (
        workspace_id TEXT NOT NULL,
        role TEXT NOT NULL,
        version TEXT NOT NULL,
        created REAL NOT NULL,
        image BLOB NOT NULL,
        PRIMARY KEY (workspace_id, role, version)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX newest_images ON images (workspace_id, created);

    CREATE TABLE ledger_heads (
        workspace_id TEXT PRIMARY KEY,
        head TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE pauses (
        run_uid TEXT NOT NULL REFERENCES runs (uid) ON DELETE CASCADE,
        stage_key TEXT NOT NULL,
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        step TEXT NOT NULL,
        why TEXT NOT NULL,
        since REAL NOT NULL,
        until REAL,
        provisioners INTEGER NOT NULL,
        answer TEXT NOT NULL,
        answered_by TEXT NOT NULL,
        answered_at REAL,
        PRIMARY KEY (run_uid, stage_key, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE machines (
        run_uid TEXT NOT NULL REFERENCES runs (uid) ON DELETE CASCADE,
        stage_key TEXT NOT NULL,
        state TEXT NOT NULL,
        machine BLOB NOT NULL,
        PRIMARY KEY (run_uid, stage_key)
    ) STRICT, WITHOUT ROWID;
    """,
)
"""Each brings an index from version n (`PRAGMA user_version`) to n + 1. Never changed once released, only added to."""
