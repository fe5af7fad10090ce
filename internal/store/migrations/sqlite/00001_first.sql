-- +goose Up

-- Small values that belong to the database as a whole: installation id, key check.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Counters that rise with commits; the event log takes its ids here.
CREATE TABLE sequences (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO sequences (name, value) VALUES ('event', 0);

-- Small sealed values by name.
CREATE TABLE secrets (
    name       TEXT   NOT NULL PRIMARY KEY,
    value      BLOB   NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE settings (
    name       TEXT   NOT NULL PRIMARY KEY,
    value      TEXT   NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE hosts (
    id             TEXT   NOT NULL PRIMARY KEY,
    name           TEXT   NOT NULL UNIQUE,
    endpoint       TEXT   NOT NULL,
    engine_id      TEXT   NOT NULL,
    data_root      TEXT   NOT NULL,
    engine_version TEXT   NOT NULL,
    api_version    TEXT   NOT NULL,
    os             TEXT   NOT NULL,
    arch           TEXT   NOT NULL,
    clock_skew_ms  BIGINT NOT NULL,
    frozen_since   BIGINT,
    frozen_reason  TEXT   NOT NULL,
    last_scan_at   BIGINT,
    last_good_scan BIGINT,
    watched_until  BIGINT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL
);

CREATE TABLE registries (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    url        TEXT   NOT NULL,
    insecure   BIGINT NOT NULL,
    username   TEXT   NOT NULL,
    password   BLOB, -- sealed
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE projects (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL UNIQUE,
    image       TEXT   NOT NULL,
    registry_id TEXT REFERENCES registries (id),
    stale_after BIGINT, -- ms; -1: never; NULL: inherit
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL
);
CREATE INDEX projects_registry ON projects (registry_id) WHERE registry_id IS NOT NULL;

CREATE TABLE stages (
    id          TEXT   NOT NULL PRIMARY KEY,
    project_id  TEXT   NOT NULL REFERENCES projects (id),
    host_id     TEXT   NOT NULL REFERENCES hosts (id),
    name        TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    stale_after BIGINT, -- ms; -1: never; NULL: inherit
    keep_last   BIGINT NOT NULL,
    spec        TEXT   NOT NULL, -- JSON, with the names of env but without the values
    spec_env    BLOB,            -- the values, sealed
    tag_rule    TEXT   NOT NULL DEFAULT '',
    mode        TEXT   NOT NULL DEFAULT 'manual',
    strategy    TEXT   NOT NULL DEFAULT 'replace',
    policy      TEXT   NOT NULL DEFAULT '{}',
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    UNIQUE (project_id, name)
);
CREATE INDEX stages_host ON stages (host_id);

CREATE TABLE instances (
    id                    TEXT   NOT NULL PRIMARY KEY,
    host_id               TEXT   NOT NULL REFERENCES hosts (id),
    project_id            TEXT   NOT NULL REFERENCES projects (id),
    stage_id              TEXT   NOT NULL REFERENCES stages (id),
    name                  TEXT   NOT NULL,
    container_id          TEXT   NOT NULL,
    ownership             TEXT   NOT NULL,
    engine_id             TEXT   NOT NULL,
    image                 TEXT   NOT NULL,
    image_tag             TEXT   NOT NULL,
    image_id              TEXT   NOT NULL,
    digest                TEXT   NOT NULL,
    spec                  TEXT   NOT NULL, -- JSON, with the names of env but without the values
    spec_env              BLOB,            -- the values, sealed
    status                TEXT   NOT NULL,
    intended              TEXT   NOT NULL,
    container_created_at  BIGINT,
    started_at            BIGINT,
    finished_at           BIGINT,
    exit_code             BIGINT NOT NULL,
    oom_killed            BIGINT NOT NULL,
    restart_count         BIGINT NOT NULL,
    engine_error          TEXT   NOT NULL,
    policy_run            BIGINT NOT NULL,
    last_alive_at         BIGINT,
    evidence              TEXT   NOT NULL,
    upper_bound           BIGINT NOT NULL,
    first_seen_stopped_at BIGINT,
    class                 TEXT   NOT NULL,
    stale_since           BIGINT,
    warned_at             BIGINT,
    checked_at            BIGINT,
    check_error           TEXT   NOT NULL,
    held_back             TEXT   NOT NULL,
    pinned_at             BIGINT,
    pinned_by             TEXT   NOT NULL,
    pin_reason            TEXT   NOT NULL,
    snoozed_until         BIGINT,
    snoozed_by            TEXT   NOT NULL,
    snooze_reason         TEXT   NOT NULL,
    keep_label            BIGINT NOT NULL,
    rollback_kept         BIGINT NOT NULL,
    size_rw               BIGINT NOT NULL,
    size_at               BIGINT,
    created_at            BIGINT NOT NULL,
    updated_at            BIGINT NOT NULL,
    revision              BIGINT NOT NULL
);
CREATE UNIQUE INDEX instances_container ON instances (host_id, container_id) WHERE container_id <> '';
CREATE INDEX instances_host ON instances (host_id, status);
CREATE INDEX instances_project ON instances (project_id, id);
CREATE INDEX instances_stage ON instances (stage_id, id);
CREATE INDEX instances_status ON instances (status, id);
-- The stale list is a page of this index: it holds nothing but stale instances.
CREATE INDEX instances_stale ON instances (COALESCE(last_alive_at, 0), id)
    WHERE stale_since IS NOT NULL AND status <> 'removing';
CREATE INDEX instances_stale_bytes ON instances ((CASE WHEN size_at IS NULL THEN -1 ELSE size_rw END), id)
    WHERE stale_since IS NOT NULL AND status <> 'removing';

CREATE TABLE routes (
    id          TEXT   NOT NULL PRIMARY KEY,
    project_id  TEXT   NOT NULL REFERENCES projects (id),
    stage_id    TEXT   NOT NULL REFERENCES stages (id),
    instance_id TEXT REFERENCES instances (id),
    port        BIGINT NOT NULL,
    tls         TEXT   NOT NULL,
    options     TEXT   NOT NULL,
    enabled     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL
);
CREATE INDEX routes_project ON routes (project_id);
CREATE INDEX routes_stage ON routes (stage_id);
CREATE INDEX routes_instance ON routes (instance_id) WHERE instance_id IS NOT NULL;

CREATE TABLE standalone_proxies (
    id         TEXT   NOT NULL PRIMARY KEY,
    target     TEXT   NOT NULL,
    tls        TEXT   NOT NULL,
    options    TEXT   NOT NULL,
    secrets    BLOB, -- sealed: basic auth, own certificate
    enabled    BIGINT NOT NULL,
    owner      TEXT   NOT NULL,
    notes      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
);

-- A domain and path leads to one place only, be it a route or a standalone proxy.
CREATE TABLE domains (
    domain      TEXT NOT NULL,
    path_prefix TEXT NOT NULL,
    route_id    TEXT REFERENCES routes (id) ON DELETE CASCADE,
    proxy_id    TEXT REFERENCES standalone_proxies (id) ON DELETE CASCADE,
    PRIMARY KEY (domain, path_prefix),
    CHECK ((route_id IS NULL) <> (proxy_id IS NULL))
);
CREATE INDEX domains_route ON domains (route_id) WHERE route_id IS NOT NULL;
CREATE INDEX domains_proxy ON domains (proxy_id) WHERE proxy_id IS NOT NULL;

-- Events outlive what they are about: no foreign keys.
CREATE TABLE event_log (
    id          INTEGER NOT NULL PRIMARY KEY,
    time        BIGINT NOT NULL,
    severity    TEXT   NOT NULL,
    source      TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    message     TEXT   NOT NULL,
    project_id  TEXT,
    stage_id    TEXT,
    instance_id TEXT,
    host_id     TEXT,
    actor       TEXT   NOT NULL,
    data        TEXT
);
-- Every filter together with a severity is one range of one index, newest first.
CREATE INDEX event_log_time ON event_log (time, id);
CREATE INDEX event_log_severity ON event_log (severity, time, id);
CREATE INDEX event_log_source ON event_log (source, severity, time, id);
CREATE INDEX event_log_project ON event_log (project_id, severity, time, id) WHERE project_id IS NOT NULL;
CREATE INDEX event_log_stage ON event_log (stage_id, severity, time, id) WHERE stage_id IS NOT NULL;
CREATE INDEX event_log_instance ON event_log (instance_id, severity, time, id) WHERE instance_id IS NOT NULL;
CREATE INDEX event_log_host ON event_log (host_id, severity, time, id) WHERE host_id IS NOT NULL;

CREATE TABLE scan_runs (
    id            TEXT   NOT NULL PRIMARY KEY,
    host_id       TEXT   NOT NULL REFERENCES hosts (id),
    trigger_name  TEXT   NOT NULL,
    started_at    BIGINT NOT NULL,
    finished_at   BIGINT NOT NULL,
    list_calls    BIGINT NOT NULL,
    inspects      BIGINT NOT NULL,
    known         BIGINT NOT NULL,
    stale         BIGINT NOT NULL,
    newly_stale   BIGINT NOT NULL,
    recovered     BIGINT NOT NULL,
    not_answered  BIGINT NOT NULL,
    outcome       TEXT   NOT NULL,
    error         TEXT   NOT NULL
);
CREATE INDEX scan_runs_host ON scan_runs (host_id, started_at, id);
CREATE INDEX scan_runs_started ON scan_runs (started_at, id);

CREATE TABLE blind_intervals (
    id       TEXT   NOT NULL PRIMARY KEY,
    host_id  TEXT   NOT NULL REFERENCES hosts (id),
    began_at BIGINT NOT NULL,
    ended_at BIGINT,
    reason   TEXT   NOT NULL,
    detail   TEXT   NOT NULL
);
CREATE UNIQUE INDEX blind_intervals_open ON blind_intervals (host_id, reason) WHERE ended_at IS NULL;
CREATE INDEX blind_intervals_host ON blind_intervals (host_id, began_at);

CREATE TABLE plans (
    id         TEXT   NOT NULL PRIMARY KEY,
    state      TEXT   NOT NULL,
    single     BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    applied_at BIGINT,
    applied_by TEXT   NOT NULL,
    done_at    BIGINT,
    left_out   BIGINT NOT NULL
);
CREATE INDEX plans_state ON plans (state, created_at);

-- Plan items outlive their instances: no foreign key to them.
CREATE TABLE plan_items (
    plan_id       TEXT   NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    position      BIGINT NOT NULL,
    instance_id   TEXT   NOT NULL,
    host_id       TEXT   NOT NULL,
    engine_id     TEXT   NOT NULL,
    data_root     TEXT   NOT NULL,
    container_id  TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    project_id    TEXT   NOT NULL,
    stage_id      TEXT   NOT NULL,
    project       TEXT   NOT NULL,
    stage         TEXT   NOT NULL,
    image_tag     TEXT   NOT NULL,
    status        TEXT   NOT NULL,
    class         TEXT   NOT NULL,
    evidence      TEXT   NOT NULL,
    upper_bound   BIGINT NOT NULL,
    last_alive_at BIGINT,
    reason        TEXT   NOT NULL,
    started_at    BIGINT,
    finished_at   BIGINT,
    restart_count BIGINT NOT NULL,
    labels        TEXT   NOT NULL,
    details       TEXT   NOT NULL,
    protection    TEXT   NOT NULL,
    result        TEXT   NOT NULL,
    result_detail TEXT   NOT NULL,
    done_at       BIGINT,
    PRIMARY KEY (plan_id, position),
    UNIQUE (plan_id, instance_id)
);

CREATE TABLE removals (
    instance_id   TEXT   NOT NULL PRIMARY KEY REFERENCES instances (id),
    plan_id       TEXT   NOT NULL,
    host_id       TEXT   NOT NULL,
    container_id  TEXT   NOT NULL,
    former        TEXT   NOT NULL,
    step          TEXT   NOT NULL,
    started_at    BIGINT,
    finished_at   BIGINT,
    restart_count BIGINT NOT NULL,
    labels        TEXT   NOT NULL,
    actor         TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE archives (
    id           TEXT   NOT NULL PRIMARY KEY,
    instance_id  TEXT   NOT NULL,
    plan_id      TEXT   NOT NULL,
    host_id      TEXT   NOT NULL REFERENCES hosts (id),
    project_id   TEXT   NOT NULL,
    stage_id     TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    image        TEXT   NOT NULL,
    image_tag    TEXT   NOT NULL,
    image_id     TEXT   NOT NULL,
    digest       TEXT   NOT NULL,
    layer_image  TEXT   NOT NULL,
    bytes        BIGINT NOT NULL,
    instance_row TEXT   NOT NULL,
    inspect      BLOB, -- sealed
    spec_env     BLOB, -- sealed
    logs         BLOB, -- sealed
    actor        TEXT   NOT NULL,
    removed_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    restored_at  BIGINT
);
CREATE INDEX archives_instance ON archives (instance_id);
CREATE INDEX archives_expiry ON archives (expires_at);
CREATE INDEX archives_host ON archives (host_id);

-- Deploys outlive their instances: no foreign key to them.
CREATE TABLE deploys (
    id          TEXT   NOT NULL PRIMARY KEY,
    project_id  TEXT   NOT NULL,
    stage_id    TEXT   NOT NULL,
    host_id     TEXT   NOT NULL,
    instance_id TEXT   NOT NULL,
    replaces    TEXT   NOT NULL,
    image       TEXT   NOT NULL,
    image_tag   TEXT   NOT NULL,
    digest      TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    error       TEXT   NOT NULL,
    actor       TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT
);
CREATE UNIQUE INDEX deploys_open ON deploys (stage_id) WHERE ended_at IS NULL;
CREATE INDEX deploys_stage ON deploys (stage_id, id);
CREATE INDEX deploys_project ON deploys (project_id, id);

CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    name          TEXT   NOT NULL UNIQUE,
    password_hash TEXT   NOT NULL,
    role          TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash TEXT   NOT NULL UNIQUE,
    user_agent TEXT   NOT NULL,
    addr       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE tokens (
    id           TEXT   NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL UNIQUE,
    token_hash   TEXT   NOT NULL UNIQUE,
    role         TEXT   NOT NULL,
    created_by   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT
);
