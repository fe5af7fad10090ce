-- +goose Up

ALTER TABLE hosts ADD COLUMN access TEXT COLLATE "C" NOT NULL DEFAULT '{}'; -- JSON, without secrets
ALTER TABLE hosts ADD COLUMN secrets BYTEA; -- sealed: private keys
ALTER TABLE hosts ADD COLUMN disabled_since BIGINT;
ALTER TABLE hosts ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
