-- +goose Up

ALTER TABLE stages ADD COLUMN min_image_age BIGINT NOT NULL DEFAULT 0; -- ms
ALTER TABLE stages ADD COLUMN poll_interval BIGINT NOT NULL DEFAULT 0; -- ms; 0: as the setting says

-- What asking its registry last brought for a stage.
CREATE TABLE stage_polls (
    stage_id      TEXT COLLATE "C"   NOT NULL PRIMARY KEY REFERENCES stages (id) ON DELETE CASCADE,
    last_at       BIGINT,
    next_at       BIGINT, -- NULL: at once
    error         TEXT COLLATE "C"   NOT NULL,
    since         BIGINT, -- could not ask since
    newest_tag    TEXT COLLATE "C"   NOT NULL,
    newest_digest TEXT COLLATE "C"   NOT NULL,
    newest_seen   BIGINT,
    ready_tag     TEXT COLLATE "C"   NOT NULL,
    ready_digest  TEXT COLLATE "C"   NOT NULL,
    why           TEXT COLLATE "C"   NOT NULL,
    told_digest   TEXT COLLATE "C"   NOT NULL,
    asked_tag     TEXT COLLATE "C"   NOT NULL,
    asked_digest  TEXT COLLATE "C"   NOT NULL,
    asked_at      BIGINT,
    asked_done    BIGINT NOT NULL
);
