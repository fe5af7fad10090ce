-- +goose Up

ALTER TABLE users ADD COLUMN disabled_at BIGINT;
ALTER TABLE users ADD COLUMN signed_in_at BIGINT;
-- A one-time link with which its holder sets the password; only its hash is kept.
ALTER TABLE users ADD COLUMN link_hash TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN link_until BIGINT;
-- The second factor: the sealed secret, since when it is asked for (NULL: not confirmed yet), and the newest step that was spent.
ALTER TABLE users ADD COLUMN factor_secret BYTEA;
ALTER TABLE users ADD COLUMN factor_since BIGINT;
ALTER TABLE users ADD COLUMN factor_step BIGINT NOT NULL DEFAULT 0;
-- Who the user is to an identity provider; empty: they sign in by a password.
ALTER TABLE users ADD COLUMN provider TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN subject TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX users_subject ON users (provider, subject) WHERE subject <> '';

ALTER TABLE sessions ADD COLUMN seen_at BIGINT;

-- Whose token it is: it can do no more than they can, and ends with them. NULL: the daemon's.
ALTER TABLE tokens ADD COLUMN user_id TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE;
UPDATE tokens SET user_id = (SELECT u.id FROM users u WHERE 'user:' || u.name = tokens.created_by);
CREATE INDEX tokens_user ON tokens (user_id);

CREATE TABLE recovery_codes (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, hash)
);

-- What a user may in one project beyond their role for all.
CREATE TABLE grants (
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    role       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, project_id)
);
CREATE INDEX grants_project ON grants (project_id);
