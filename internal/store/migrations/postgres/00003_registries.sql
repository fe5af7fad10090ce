-- +goose Up

-- The first schema had a table of this name, which nothing wrote to, and a column that led to it.
DROP INDEX projects_registry;
ALTER TABLE projects DROP COLUMN registry_id;
DROP TABLE registries;

-- Which registry an image comes from is said by the host in its name: no other table leads here.
CREATE TABLE registries (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C"   NOT NULL UNIQUE,
    host       TEXT COLLATE "C"   NOT NULL UNIQUE, -- lower case, as in names of images
    preset     TEXT COLLATE "C"   NOT NULL,
    username   TEXT COLLATE "C"   NOT NULL,
    password   BYTEA, -- sealed
    plain_http BIGINT NOT NULL,
    ca         TEXT COLLATE "C"   NOT NULL, -- PEM
    last_test  TEXT COLLATE "C"   NOT NULL, -- JSON, as is the next one
    allowance  TEXT COLLATE "C"   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
);
