package store

import (
	"context"
	"time"
)

const (
	// deployLines is how many lines of the log of one deploy are kept: the newest.
	deployLines = 500
	// deployLogs is how many deploys of a stage keep their log: the newest.
	deployLogs = 50
	// longestLine bounds one line, in bytes.
	longestLine = 4000
)

const lineColumns = `deploy_id, line, time, state, message, done_bytes, total_bytes`

func scanLine(r row) (l DeployLine, err error) {
	return l, r.Scan(&l.DeployID, &l.Line, at{&l.Time}, &l.State, &l.Text, &l.DoneBytes, &l.TotalBytes)
}

// AppendDeployLog adds a line to the log of a deploy and returns it with its number. The log holds the newest lines only.
func (tx *Tx) AppendDeployLog(ctx context.Context, l DeployLine) (DeployLine, error) {
	what := "write the log of deploy " + l.DeployID
	if l.Time.IsZero() {
		l.Time = time.Now().UTC()
	}
	l.Text = clean(l.Text[:min(len(l.Text), longestLine)])
	made, err := one(ctx, tx.queries, what, scanLine, `INSERT INTO deploy_log (`+lineColumns+`)
		VALUES ($1, (SELECT COALESCE(MAX(line), 0) + 1 FROM deploy_log WHERE deploy_id = $1), $2, $3, $4, $5, $6) RETURNING `+lineColumns,
		l.DeployID, millis(l.Time), string(l.State), l.Text, l.DoneBytes, l.TotalBytes)
	if err != nil {
		return l, tx.lose(err)
	}
	if made.Line > deployLines {
		_, err = tx.exec(ctx, what, `DELETE FROM deploy_log WHERE deploy_id = $1 AND line <= $2`, l.DeployID, made.Line-deployLines)
	}
	return made, err
}

// PruneDeployLogs lets only the newest deploys of a stage keep their logs.
func (tx *Tx) PruneDeployLogs(ctx context.Context, stageID string) error {
	_, err := tx.exec(ctx, "prune the deploy logs of stage "+stageID, `DELETE FROM deploy_log WHERE deploy_id IN
		(SELECT id FROM deploys WHERE stage_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3)`, stageID, 1000, deployLogs)
	return err
}

// DeployLog returns the lines of a deploy after a number, oldest first, at most limit.
func (q queries) DeployLog(ctx context.Context, deployID string, after int64, limit int) ([]DeployLine, error) {
	return list(ctx, q, "read the log of deploy "+deployID, scanLine,
		`SELECT `+lineColumns+` FROM deploy_log WHERE deploy_id = $1 AND line > $2 ORDER BY line LIMIT $3`, deployID, after, limit)
}
