-- +goose Up

ALTER TABLE registries ADD COLUMN hook_secret BYTEA; -- sealed; NULL: it has no webhook
ALTER TABLE registries ADD COLUMN hook_made_at BIGINT;
ALTER TABLE registries ADD COLUMN hook_heard_at BIGINT; -- when it last brought its secret
