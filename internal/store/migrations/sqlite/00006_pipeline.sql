-- +goose Up

ALTER TABLE stages ADD COLUMN drain_ms BIGINT NOT NULL DEFAULT 10000;
ALTER TABLE stages ADD COLUMN parallel_max BIGINT NOT NULL DEFAULT 10;
ALTER TABLE stages ADD COLUMN domain TEXT NOT NULL DEFAULT '';

ALTER TABLE deploys ADD COLUMN kind TEXT NOT NULL DEFAULT 'deploy';
ALTER TABLE deploys ADD COLUMN lane TEXT NOT NULL DEFAULT '';
ALTER TABLE deploys ADD COLUMN cancelled_by TEXT NOT NULL DEFAULT '';

-- Of a stage one deploy is carried out at most; one waits, or one of each lane.
DROP INDEX deploys_open;
CREATE UNIQUE INDEX deploys_queued ON deploys (stage_id, lane) WHERE state = 'queued';
CREATE UNIQUE INDEX deploys_active ON deploys (stage_id) WHERE ended_at IS NULL AND state <> 'queued';
CREATE INDEX deploys_open ON deploys (id) WHERE ended_at IS NULL;

CREATE TABLE deploy_log (
    deploy_id   TEXT   NOT NULL REFERENCES deploys (id) ON DELETE CASCADE,
    line        BIGINT NOT NULL,
    time        BIGINT NOT NULL,
    state       TEXT   NOT NULL,
    message     TEXT   NOT NULL,
    done_bytes  BIGINT NOT NULL,
    total_bytes BIGINT NOT NULL,
    PRIMARY KEY (deploy_id, line)
);
