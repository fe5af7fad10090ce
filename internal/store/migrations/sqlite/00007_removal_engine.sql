-- +goose Up

-- The engine that a removal was begun on. Empty: begun before this, or an engine that does not say.
ALTER TABLE removals ADD COLUMN engine_id TEXT NOT NULL DEFAULT '';
ALTER TABLE removals ADD COLUMN data_root TEXT NOT NULL DEFAULT '';
