-- +goose Up

-- Small values that belong to the database as a whole: installation id, key check.
CREATE TABLE meta (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

-- Counters that rise with commits; the event log takes its ids here.
CREATE TABLE sequences (
    name  TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO sequences (name, value) VALUES ('event', 0);

-- Small sealed values by name.
CREATE TABLE secrets (
    name       TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    value      BYTEA   NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE settings (
    name       TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    value      TEXT COLLATE "C"   NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE hosts (
    id             TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name           TEXT COLLATE "C"   NOT NULL UNIQUE,
    endpoint       TEXT COLLATE "C"   NOT NULL,
    engine_id      TEXT COLLATE "C"   NOT NULL,
    data_root      TEXT COLLATE "C"   NOT NULL,
    engine_version TEXT COLLATE "C"   NOT NULL,
    api_version    TEXT COLLATE "C"   NOT NULL,
    os             TEXT COLLATE "C"   NOT NULL,
    arch           TEXT COLLATE "C"   NOT NULL,
    clock_skew_ms  BIGINT NOT NULL,
    frozen_since   BIGINT,
    frozen_reason  TEXT COLLATE "C"   NOT NULL,
    last_scan_at   BIGINT,
    last_good_scan BIGINT,
    watched_until  BIGINT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL
);

CREATE TABLE registries (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C"   NOT NULL UNIQUE,
    url        TEXT COLLATE "C"   NOT NULL,
    insecure   BIGINT NOT NULL,
    username   TEXT COLLATE "C"   NOT NULL,
    password   BYTEA, -- sealed
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE projects (
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name        TEXT COLLATE "C"   NOT NULL UNIQUE,
    image       TEXT COLLATE "C"   NOT NULL,
    registry_id TEXT COLLATE "C" REFERENCES registries (id),
    stale_after BIGINT, -- ms; -1: never; NULL: inherit
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL
);
CREATE INDEX projects_registry ON projects (registry_id) WHERE registry_id IS NOT NULL;

CREATE TABLE stages (
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    project_id  TEXT COLLATE "C"   NOT NULL REFERENCES projects (id),
    host_id     TEXT COLLATE "C"   NOT NULL REFERENCES hosts (id),
    name        TEXT COLLATE "C"   NOT NULL,
    kind        TEXT COLLATE "C"   NOT NULL,
    stale_after BIGINT, -- ms; -1: never; NULL: inherit
    keep_last   BIGINT NOT NULL,
    spec        TEXT COLLATE "C"   NOT NULL, -- JSON, with the names of env but without the values
    spec_env    BYTEA,            -- the values, sealed
    tag_rule    TEXT COLLATE "C"   NOT NULL DEFAULT '',
    mode        TEXT COLLATE "C"   NOT NULL DEFAULT 'manual',
    strategy    TEXT COLLATE "C"   NOT NULL DEFAULT 'replace',
    policy      TEXT COLLATE "C"   NOT NULL DEFAULT '{}',
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    UNIQUE (project_id, name)
);
CREATE INDEX stages_host ON stages (host_id);

CREATE TABLE instances (
    id                    TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    host_id               TEXT COLLATE "C"   NOT NULL REFERENCES hosts (id),
    project_id            TEXT COLLATE "C"   NOT NULL REFERENCES projects (id),
    stage_id              TEXT COLLATE "C"   NOT NULL REFERENCES stages (id),
    name                  TEXT COLLATE "C"   NOT NULL,
    container_id          TEXT COLLATE "C"   NOT NULL,
    ownership             TEXT COLLATE "C"   NOT NULL,
    engine_id             TEXT COLLATE "C"   NOT NULL,
    image                 TEXT COLLATE "C"   NOT NULL,
    image_tag             TEXT COLLATE "C"   NOT NULL,
    image_id              TEXT COLLATE "C"   NOT NULL,
    digest                TEXT COLLATE "C"   NOT NULL,
    spec                  TEXT COLLATE "C"   NOT NULL, -- JSON, with the names of env but without the values
    spec_env              BYTEA,            -- the values, sealed
    status                TEXT COLLATE "C"   NOT NULL,
    intended              TEXT COLLATE "C"   NOT NULL,
    container_created_at  BIGINT,
    started_at            BIGINT,
    finished_at           BIGINT,
    exit_code             BIGINT NOT NULL,
    oom_killed            BIGINT NOT NULL,
    restart_count         BIGINT NOT NULL,
    engine_error          TEXT COLLATE "C"   NOT NULL,
    policy_run            BIGINT NOT NULL,
    last_alive_at         BIGINT,
    evidence              TEXT COLLATE "C"   NOT NULL,
    upper_bound           BIGINT NOT NULL,
    first_seen_stopped_at BIGINT,
    class                 TEXT COLLATE "C"   NOT NULL,
    stale_since           BIGINT,
    warned_at             BIGINT,
    checked_at            BIGINT,
    check_error           TEXT COLLATE "C"   NOT NULL,
    held_back             TEXT COLLATE "C"   NOT NULL,
    pinned_at             BIGINT,
    pinned_by             TEXT COLLATE "C"   NOT NULL,
    pin_reason            TEXT COLLATE "C"   NOT NULL,
    snoozed_until         BIGINT,
    snoozed_by            TEXT COLLATE "C"   NOT NULL,
    snooze_reason         TEXT COLLATE "C"   NOT NULL,
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
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    project_id  TEXT COLLATE "C"   NOT NULL REFERENCES projects (id),
    stage_id    TEXT COLLATE "C"   NOT NULL REFERENCES stages (id),
    instance_id TEXT COLLATE "C" REFERENCES instances (id),
    port        BIGINT NOT NULL,
    tls         TEXT COLLATE "C"   NOT NULL,
    options     TEXT COLLATE "C"   NOT NULL,
    enabled     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL
);
CREATE INDEX routes_project ON routes (project_id);
CREATE INDEX routes_stage ON routes (stage_id);
CREATE INDEX routes_instance ON routes (instance_id) WHERE instance_id IS NOT NULL;

CREATE TABLE standalone_proxies (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    target     TEXT COLLATE "C"   NOT NULL,
    tls        TEXT COLLATE "C"   NOT NULL,
    options    TEXT COLLATE "C"   NOT NULL,
    secrets    BYTEA, -- sealed: basic auth, own certificate
    enabled    BIGINT NOT NULL,
    owner      TEXT COLLATE "C"   NOT NULL,
    notes      TEXT COLLATE "C"   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
);

-- A domain and path leads to one place only, be it a route or a standalone proxy.
CREATE TABLE domains (
    domain      TEXT COLLATE "C" NOT NULL,
    path_prefix TEXT COLLATE "C" NOT NULL,
    route_id    TEXT COLLATE "C" REFERENCES routes (id) ON DELETE CASCADE,
    proxy_id    TEXT COLLATE "C" REFERENCES standalone_proxies (id) ON DELETE CASCADE,
    PRIMARY KEY (domain, path_prefix),
    CHECK ((route_id IS NULL) <> (proxy_id IS NULL))
);
CREATE INDEX domains_route ON domains (route_id) WHERE route_id IS NOT NULL;
CREATE INDEX domains_proxy ON domains (proxy_id) WHERE proxy_id IS NOT NULL;

-- Events outlive what they are about: no foreign keys.
CREATE TABLE event_log (
    id          BIGINT NOT NULL PRIMARY KEY,
    time        BIGINT NOT NULL,
    severity    TEXT COLLATE "C"   NOT NULL,
    source      TEXT COLLATE "C"   NOT NULL,
    kind        TEXT COLLATE "C"   NOT NULL,
    message     TEXT COLLATE "C"   NOT NULL,
    project_id  TEXT COLLATE "C",
    stage_id    TEXT COLLATE "C",
    instance_id TEXT COLLATE "C",
    host_id     TEXT COLLATE "C",
    actor       TEXT COLLATE "C"   NOT NULL,
    data        TEXT COLLATE "C"
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
    id            TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    host_id       TEXT COLLATE "C"   NOT NULL REFERENCES hosts (id),
    trigger_name  TEXT COLLATE "C"   NOT NULL,
    started_at    BIGINT NOT NULL,
    finished_at   BIGINT NOT NULL,
    list_calls    BIGINT NOT NULL,
    inspects      BIGINT NOT NULL,
    known         BIGINT NOT NULL,
    stale         BIGINT NOT NULL,
    newly_stale   BIGINT NOT NULL,
    recovered     BIGINT NOT NULL,
    not_answered  BIGINT NOT NULL,
    outcome       TEXT COLLATE "C"   NOT NULL,
    error         TEXT COLLATE "C"   NOT NULL
);
CREATE INDEX scan_runs_host ON scan_runs (host_id, started_at, id);
CREATE INDEX scan_runs_started ON scan_runs (started_at, id);

CREATE TABLE blind_intervals (
    id       TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    host_id  TEXT COLLATE "C"   NOT NULL REFERENCES hosts (id),
    began_at BIGINT NOT NULL,
    ended_at BIGINT,
    reason   TEXT COLLATE "C"   NOT NULL,
    detail   TEXT COLLATE "C"   NOT NULL
);
CREATE UNIQUE INDEX blind_intervals_open ON blind_intervals (host_id, reason) WHERE ended_at IS NULL;
CREATE INDEX blind_intervals_host ON blind_intervals (host_id, began_at);

CREATE TABLE plans (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    state      TEXT COLLATE "C"   NOT NULL,
    single     BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C"   NOT NULL,
    expires_at BIGINT NOT NULL,
    applied_at BIGINT,
    applied_by TEXT COLLATE "C"   NOT NULL,
    done_at    BIGINT,
    left_out   BIGINT NOT NULL
);
CREATE INDEX plans_state ON plans (state, created_at);

-- Plan items outlive their instances: no foreign key to them.
CREATE TABLE plan_items (
    plan_id       TEXT COLLATE "C"   NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    position      BIGINT NOT NULL,
    instance_id   TEXT COLLATE "C"   NOT NULL,
    host_id       TEXT COLLATE "C"   NOT NULL,
    engine_id     TEXT COLLATE "C"   NOT NULL,
    data_root     TEXT COLLATE "C"   NOT NULL,
    container_id  TEXT COLLATE "C"   NOT NULL,
    name          TEXT COLLATE "C"   NOT NULL,
    project_id    TEXT COLLATE "C"   NOT NULL,
    stage_id      TEXT COLLATE "C"   NOT NULL,
    project       TEXT COLLATE "C"   NOT NULL,
    stage         TEXT COLLATE "C"   NOT NULL,
    image_tag     TEXT COLLATE "C"   NOT NULL,
    status        TEXT COLLATE "C"   NOT NULL,
    class         TEXT COLLATE "C"   NOT NULL,
    evidence      TEXT COLLATE "C"   NOT NULL,
    upper_bound   BIGINT NOT NULL,
    last_alive_at BIGINT,
    reason        TEXT COLLATE "C"   NOT NULL,
    started_at    BIGINT,
    finished_at   BIGINT,
    restart_count BIGINT NOT NULL,
    labels        TEXT COLLATE "C"   NOT NULL,
    details       TEXT COLLATE "C"   NOT NULL,
    protection    TEXT COLLATE "C"   NOT NULL,
    result        TEXT COLLATE "C"   NOT NULL,
    result_detail TEXT COLLATE "C"   NOT NULL,
    done_at       BIGINT,
    PRIMARY KEY (plan_id, position),
    UNIQUE (plan_id, instance_id)
);

CREATE TABLE removals (
    instance_id   TEXT COLLATE "C"   NOT NULL PRIMARY KEY REFERENCES instances (id),
    plan_id       TEXT COLLATE "C"   NOT NULL,
    host_id       TEXT COLLATE "C"   NOT NULL,
    container_id  TEXT COLLATE "C"   NOT NULL,
    former        TEXT COLLATE "C"   NOT NULL,
    step          TEXT COLLATE "C"   NOT NULL,
    started_at    BIGINT,
    finished_at   BIGINT,
    restart_count BIGINT NOT NULL,
    labels        TEXT COLLATE "C"   NOT NULL,
    actor         TEXT COLLATE "C"   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE archives (
    id           TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    instance_id  TEXT COLLATE "C"   NOT NULL,
    plan_id      TEXT COLLATE "C"   NOT NULL,
    host_id      TEXT COLLATE "C"   NOT NULL REFERENCES hosts (id),
    project_id   TEXT COLLATE "C"   NOT NULL,
    stage_id     TEXT COLLATE "C"   NOT NULL,
    name         TEXT COLLATE "C"   NOT NULL,
    image        TEXT COLLATE "C"   NOT NULL,
    image_tag    TEXT COLLATE "C"   NOT NULL,
    image_id     TEXT COLLATE "C"   NOT NULL,
    digest       TEXT COLLATE "C"   NOT NULL,
    layer_image  TEXT COLLATE "C"   NOT NULL,
    bytes        BIGINT NOT NULL,
    instance_row TEXT COLLATE "C"   NOT NULL,
    inspect      BYTEA, -- sealed
    spec_env     BYTEA, -- sealed
    logs         BYTEA, -- sealed
    actor        TEXT COLLATE "C"   NOT NULL,
    removed_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    restored_at  BIGINT
);
CREATE INDEX archives_instance ON archives (instance_id);
CREATE INDEX archives_expiry ON archives (expires_at);
CREATE INDEX archives_host ON archives (host_id);

-- Deploys outlive their instances: no foreign key to them.
CREATE TABLE deploys (
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    project_id  TEXT COLLATE "C"   NOT NULL,
    stage_id    TEXT COLLATE "C"   NOT NULL,
    host_id     TEXT COLLATE "C"   NOT NULL,
    instance_id TEXT COLLATE "C"   NOT NULL,
    replaces    TEXT COLLATE "C"   NOT NULL,
    image       TEXT COLLATE "C"   NOT NULL,
    image_tag   TEXT COLLATE "C"   NOT NULL,
    digest      TEXT COLLATE "C"   NOT NULL,
    state       TEXT COLLATE "C"   NOT NULL,
    error       TEXT COLLATE "C"   NOT NULL,
    actor       TEXT COLLATE "C"   NOT NULL,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT
);
CREATE UNIQUE INDEX deploys_open ON deploys (stage_id) WHERE ended_at IS NULL;
CREATE INDEX deploys_stage ON deploys (stage_id, id);
CREATE INDEX deploys_project ON deploys (project_id, id);

CREATE TABLE users (
    id            TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name          TEXT COLLATE "C"   NOT NULL UNIQUE,
    password_hash TEXT COLLATE "C"   NOT NULL,
    role          TEXT COLLATE "C"   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE sessions (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C"   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash TEXT COLLATE "C"   NOT NULL UNIQUE,
    user_agent TEXT COLLATE "C"   NOT NULL,
    addr       TEXT COLLATE "C"   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE tokens (
    id           TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name         TEXT COLLATE "C"   NOT NULL UNIQUE,
    token_hash   TEXT COLLATE "C"   NOT NULL UNIQUE,
    role         TEXT COLLATE "C"   NOT NULL,
    created_by   TEXT COLLATE "C"   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT
);
