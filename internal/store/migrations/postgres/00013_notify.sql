-- +goose Up

-- Where events are sent to.
CREATE TABLE notify_channels (
    id            TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name          TEXT COLLATE "C"   NOT NULL UNIQUE,
    kind          TEXT COLLATE "C"   NOT NULL,
    target        BYTEA   NOT NULL, -- sealed: its URL, which holds tokens and passwords
    secret        BYTEA, -- sealed: what webhooks are signed with
    shown         TEXT COLLATE "C"   NOT NULL, -- the URL without what is secret
    title         TEXT COLLATE "C"   NOT NULL, -- templates; empty: the usual
    body          TEXT COLLATE "C"   NOT NULL,
    enabled       BIGINT NOT NULL,
    retry_at      BIGINT, -- nothing is tried before
    failing_since BIGINT,
    last_error    TEXT COLLATE "C"   NOT NULL,
    last_sent_at  BIGINT,
    last_test     TEXT COLLATE "C"   NOT NULL, -- JSON
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    revision      BIGINT NOT NULL
);

-- Which events go where, and when.
CREATE TABLE notify_rules (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C"   NOT NULL UNIQUE,
    enabled    BIGINT NOT NULL,
    wants      TEXT COLLATE "C"   NOT NULL, -- JSON, as is the next one
    timing     TEXT COLLATE "C"   NOT NULL,
    after_id   BIGINT NOT NULL, -- the last event that it has seen
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
);

CREATE TABLE notify_rule_channels (
    rule_id    TEXT COLLATE "C" NOT NULL REFERENCES notify_rules (id) ON DELETE CASCADE,
    channel_id TEXT COLLATE "C" NOT NULL REFERENCES notify_channels (id) ON DELETE CASCADE,
    PRIMARY KEY (rule_id, channel_id)
);
CREATE INDEX notify_rule_channels_channel ON notify_rule_channels (channel_id);

-- The outbox. Messages outlive their rules: no foreign key to them.
CREATE TABLE notify_messages (
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    channel_id  TEXT COLLATE "C"   NOT NULL REFERENCES notify_channels (id) ON DELETE CASCADE,
    rule_id     TEXT COLLATE "C"   NOT NULL,
    state       TEXT COLLATE "C"   NOT NULL,
    urgent      BIGINT NOT NULL,
    severity    TEXT COLLATE "C"   NOT NULL, -- the worst of its events
    events      BIGINT NOT NULL,
    first_event BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    lease_until BIGINT,
    attempts    BIGINT NOT NULL,
    tried_at    BIGINT, -- first
    error       TEXT COLLATE "C"   NOT NULL,
    title       TEXT COLLATE "C"   NOT NULL, -- as it was last tried
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT -- sent or given up
);
CREATE INDEX notify_messages_line ON notify_messages (channel_id, state, first_event, id);
CREATE INDEX notify_messages_state ON notify_messages (state, created_at, id);
CREATE INDEX notify_messages_created ON notify_messages (created_at, id);

CREATE TABLE notify_message_events (
    event_id   BIGINT NOT NULL,
    channel_id TEXT COLLATE "C"   NOT NULL,
    message_id TEXT COLLATE "C"   NOT NULL REFERENCES notify_messages (id) ON DELETE CASCADE,
    PRIMARY KEY (event_id, channel_id) -- a channel is told of an event once, whatever rules say so
);
CREATE INDEX notify_message_events_message ON notify_message_events (message_id, event_id);
