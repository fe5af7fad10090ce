-- +goose Up

ALTER TABLE routes ADD COLUMN owner TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE routes ADD COLUMN notes TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE routes ADD COLUMN secrets BYTEA; -- sealed: what of its options nobody may read

-- How often requests came: to a route, to a standalone proxy, or to an instance by any route. One that is removed keeps its row for an undo.
CREATE TABLE request_counts (
    id       TEXT COLLATE "C"   NOT NULL PRIMARY KEY, -- of the route, the standalone proxy or the instance
    requests BIGINT NOT NULL,
    errors   BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);
