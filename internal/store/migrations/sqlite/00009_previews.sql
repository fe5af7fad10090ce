-- +goose Up

-- The tags that a stage whose tags run side by side is to run by its rule, newest first, as a JSON list; empty: none says.
ALTER TABLE stage_polls ADD COLUMN wanted TEXT NOT NULL DEFAULT '';
