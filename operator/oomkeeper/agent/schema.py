"""Tables of the state database, and the way to them from every released schema."""

SCHEMA_VERSION = 3

SCHEMA = """
CREATE TABLE boot (
    boot_id TEXT PRIMARY KEY, since TEXT NOT NULL, cursor INTEGER NOT NULL, vmstat_base INTEGER NOT NULL,
    recorded INTEGER NOT NULL DEFAULT 0, unattributed INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE kill_line (boot_id TEXT, seq INTEGER, PRIMARY KEY (boot_id, seq)) WITHOUT ROWID;
CREATE TABLE counter (
    boot_id TEXT, path TEXT, kills INTEGER NOT NULL, inode INTEGER, PRIMARY KEY (boot_id, path)
) WITHOUT ROWID;
CREATE TABLE kill (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, incident TEXT, container_id TEXT,
    time TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX kill_container ON kill (container_id);
CREATE TABLE unidentified_kill (
    id TEXT PRIMARY KEY, pod_uid TEXT NOT NULL, kill TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX unidentified_kill_pod ON unidentified_kill (pod_uid);
CREATE TABLE incident (
    key TEXT PRIMARY KEY, document TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1,
    published INTEGER NOT NULL DEFAULT 0, undecided INTEGER NOT NULL DEFAULT 0,
    kind TEXT NOT NULL DEFAULT 'OOMIncident'
);
CREATE INDEX incident_undecided ON incident (key) WHERE undecided;
CREATE TABLE reported (container_id TEXT PRIMARY KEY, time TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE container_end (
    container_id TEXT PRIMARY KEY, pod_uid TEXT NOT NULL, object TEXT NOT NULL, time TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE container_signals (
    container_id TEXT PRIMARY KEY, time TEXT NOT NULL, document TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE pod (uid TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE note (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sysctl (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE adjustment (
    pid INTEGER, start_time INTEGER, original INTEGER, applied INTEGER, name TEXT,
    PRIMARY KEY (pid, start_time)
) WITHOUT ROWID;
CREATE TABLE kill_total (
    cause TEXT, namespace TEXT, workload_kind TEXT, workload TEXT, container TEXT,
    kills INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (cause, namespace, workload_kind, workload, container)
) WITHOUT ROWID;
"""
"""The newest schema. Table `incident` holds what is published, of each kind. Documents are JSON that is read
tolerantly: a new field needs no migration."""

MIGRATIONS = {
    1: """
ALTER TABLE incident RENAME COLUMN silent TO undecided;
DROP INDEX incident_silent;
CREATE INDEX incident_undecided ON incident (key) WHERE undecided;
CREATE TABLE unidentified_kill (
    id TEXT PRIMARY KEY, pod_uid TEXT NOT NULL, kill TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX unidentified_kill_pod ON unidentified_kill (pod_uid);
CREATE TABLE pod (uid TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
DELETE FROM note WHERE key = 'sysctls';
""",
    2: """
CREATE TABLE kill_total (
    cause TEXT, namespace TEXT, workload_kind TEXT, workload TEXT, container TEXT,
    kills INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (cause, namespace, workload_kind, workload, container)
) WITHOUT ROWID;
ALTER TABLE incident ADD COLUMN kind TEXT NOT NULL DEFAULT 'OOMIncident';
CREATE TABLE container_end (
    container_id TEXT PRIMARY KEY, pod_uid TEXT NOT NULL, object TEXT NOT NULL, time TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE container_signals (
    container_id TEXT PRIMARY KEY, time TEXT NOT NULL, document TEXT NOT NULL
) WITHOUT ROWID;
""",
}
"""Schema version -> statements that lead to the next one. None is ever changed or removed: a node may be
upgraded from any release."""


def statements(text: str) -> list[str]:
    """Return the statements of a script, to be run in one transaction (executescript would commit)."""
    return [statement for statement in text.split(";") if statement.strip()]
