-- +goose Up

ALTER TABLE hosts ADD COLUMN auto_held TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN auto_held_since BIGINT;

ALTER TABLE projects ADD COLUMN policy TEXT COLLATE "C" NOT NULL DEFAULT '{}';

ALTER TABLE instances ADD COLUMN tag_checked_at BIGINT;
ALTER TABLE instances ADD COLUMN tag_gone_since BIGINT;
CREATE INDEX instances_stale_name ON instances (stage_id, name, id)
    WHERE stale_since IS NOT NULL AND status <> 'removing';
CREATE INDEX instances_stale_tag ON instances (image, image_tag)
    WHERE stale_since IS NOT NULL AND status <> 'removing';

ALTER TABLE plans ADD COLUMN automatic BIGINT NOT NULL DEFAULT 0;
ALTER TABLE plans ADD COLUMN apply_at BIGINT;
ALTER TABLE plans ADD COLUMN tag_gone_yes BIGINT NOT NULL DEFAULT 0;
CREATE INDEX plans_automatic ON plans (state, done_at) WHERE automatic = 1;

ALTER TABLE removals ADD COLUMN archive_id TEXT COLLATE "C" NOT NULL DEFAULT '';

-- The first schema had a table of this name, which nothing wrote to.
DROP TABLE archives;

-- Archives outlive what they are about: no foreign keys.
CREATE TABLE archives (
    id            TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    state         TEXT COLLATE "C"   NOT NULL,
    instance_id   TEXT COLLATE "C"   NOT NULL,
    plan_id       TEXT COLLATE "C"   NOT NULL,
    host_id       TEXT COLLATE "C"   NOT NULL,
    project_id    TEXT COLLATE "C"   NOT NULL,
    stage_id      TEXT COLLATE "C"   NOT NULL,
    project       TEXT COLLATE "C"   NOT NULL,
    stage         TEXT COLLATE "C"   NOT NULL,
    name          TEXT COLLATE "C"   NOT NULL,
    image         TEXT COLLATE "C"   NOT NULL,
    image_tag     TEXT COLLATE "C"   NOT NULL,
    image_id      TEXT COLLATE "C"   NOT NULL,
    digest        TEXT COLLATE "C"   NOT NULL,
    keep_ref      TEXT COLLATE "C"   NOT NULL,
    layer_image   TEXT COLLATE "C"   NOT NULL,
    layer_note    TEXT COLLATE "C"   NOT NULL,
    bytes         BIGINT NOT NULL,
    class         TEXT COLLATE "C"   NOT NULL,
    last_alive_at BIGINT,
    reason        TEXT COLLATE "C"   NOT NULL,
    volumes       TEXT COLLATE "C"   NOT NULL, -- JSON, as are the next two
    networks      TEXT COLLATE "C"   NOT NULL,
    routes        TEXT COLLATE "C"   NOT NULL,
    actor         TEXT COLLATE "C"   NOT NULL,
    removed_at    BIGINT,
    expires_at    BIGINT,
    restored_at   BIGINT,
    restored_by   TEXT COLLATE "C"   NOT NULL,
    asked         TEXT COLLATE "C"   NOT NULL -- of the restore that is under way
);
CREATE INDEX archives_removed ON archives (COALESCE(removed_at, 0), id);
CREATE INDEX archives_instance ON archives (instance_id);
CREATE INDEX archives_plan ON archives (plan_id);
CREATE INDEX archives_host ON archives (host_id, state);
CREATE INDEX archives_kept ON archives (keep_ref);
CREATE INDEX archives_image ON archives (host_id, image_id);
CREATE INDEX archives_expiry ON archives (expires_at);

-- What is large and sealed of an archive: a list of archives does not read it.
CREATE TABLE archive_contents (
    archive_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES archives (id) ON DELETE CASCADE,
    instance_row BYTEA NOT NULL, -- sealed, as are the next two
    inspect      BYTEA NOT NULL,
    logs         BYTEA NOT NULL
);

-- What removed instances used and left on an engine, with who used it last.
CREATE TABLE remnants (
    host_id      TEXT COLLATE "C"   NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    kind         TEXT COLLATE "C"   NOT NULL,
    name         TEXT COLLATE "C"   NOT NULL,
    refs         TEXT COLLATE "C"   NOT NULL, -- JSON
    anonymous    BIGINT NOT NULL,
    instance_id  TEXT COLLATE "C"   NOT NULL,
    instance     TEXT COLLATE "C"   NOT NULL,
    project      TEXT COLLATE "C"   NOT NULL,
    stage        TEXT COLLATE "C"   NOT NULL,
    image_tag    TEXT COLLATE "C"   NOT NULL,
    last_used_at BIGINT,
    removed_at   BIGINT,
    PRIMARY KEY (host_id, kind, name)
);

-- Images that deploys asked for: brought by us, or there before us and then never ours to remove.
CREATE TABLE pulled_images (
    host_id      TEXT COLLATE "C"   NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    image_id     TEXT COLLATE "C"   NOT NULL,
    ref          TEXT COLLATE "C"   NOT NULL,
    there_before BIGINT NOT NULL,
    pulled_at    BIGINT NOT NULL,
    PRIMARY KEY (host_id, image_id)
);

-- Plans are history: no foreign key to the host.
CREATE TABLE reclaim_plans (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    host_id    TEXT COLLATE "C"   NOT NULL,
    engine_id  TEXT COLLATE "C"   NOT NULL,
    data_root  TEXT COLLATE "C"   NOT NULL,
    state      TEXT COLLATE "C"   NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C"   NOT NULL,
    expires_at BIGINT NOT NULL,
    applied_at BIGINT,
    applied_by TEXT COLLATE "C"   NOT NULL,
    done_at    BIGINT
);
CREATE INDEX reclaim_plans_state ON reclaim_plans (state, created_at);

CREATE TABLE reclaim_items (
    plan_id  TEXT COLLATE "C"   NOT NULL REFERENCES reclaim_plans (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    image_id TEXT COLLATE "C"   NOT NULL,
    refs     TEXT COLLATE "C"   NOT NULL, -- JSON, as is last_use
    bytes    BIGINT NOT NULL,
    last_use TEXT COLLATE "C"   NOT NULL,
    result   TEXT COLLATE "C"   NOT NULL,
    detail   TEXT COLLATE "C"   NOT NULL,
    PRIMARY KEY (plan_id, position),
    UNIQUE (plan_id, image_id)
);

CREATE TABLE leftovers (
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    host_id     TEXT COLLATE "C"   NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    kind        TEXT COLLATE "C"   NOT NULL,
    subject     TEXT COLLATE "C"   NOT NULL,
    name        TEXT COLLATE "C"   NOT NULL,
    instance_id TEXT COLLATE "C"   NOT NULL,
    project_id  TEXT COLLATE "C"   NOT NULL,
    stage_id    TEXT COLLATE "C"   NOT NULL,
    detail      TEXT COLLATE "C"   NOT NULL,
    found_at    BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL,
    UNIQUE (host_id, kind, subject)
);
