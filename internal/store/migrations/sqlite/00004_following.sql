-- +goose Up

ALTER TABLE stages ADD COLUMN min_image_age BIGINT NOT NULL DEFAULT 0; -- ms
ALTER TABLE stages ADD COLUMN poll_interval BIGINT NOT NULL DEFAULT 0; -- ms; 0: as the setting says

-- What asking its registry last brought for a stage.
CREATE TABLE stage_polls (
    stage_id      TEXT   NOT NULL PRIMARY KEY REFERENCES stages (id) ON DELETE CASCADE,
    last_at       BIGINT,
    next_at       BIGINT, -- NULL: at once
    error         TEXT   NOT NULL,
    since         BIGINT, -- could not ask since
    newest_tag    TEXT   NOT NULL,
    newest_digest TEXT   NOT NULL,
    newest_seen   BIGINT,
    ready_tag     TEXT   NOT NULL,
    ready_digest  TEXT   NOT NULL,
    why           TEXT   NOT NULL,
    told_digest   TEXT   NOT NULL,
    asked_tag     TEXT   NOT NULL,
    asked_digest  TEXT   NOT NULL,
    asked_at      BIGINT,
    asked_done    BIGINT NOT NULL
);
