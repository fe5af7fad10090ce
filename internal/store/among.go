package store

import (
	"context"
	"slices"
	"time"
)

// Among are the projects that a list is limited to, by their ids, because its reader may see no others. Nil is no limit; empty is nothing.
type Among []string

// Has tells whether a project is among them.
func (m Among) Has(projectID string) bool { return m == nil || slices.Contains(m, projectID) }

// and limits a query to them.
func (m Among) and(w *where, a *arguments, column string) {
	switch {
	case m == nil:
	case len(m) == 0:
		w.and(`1 = 0`)
	default:
		w.and(column + ` IN ` + in(a, plain(m)))
	}
}

// ProjectsAmong is Projects for a reader who may see no others.
func (q queries) ProjectsAmong(ctx context.Context, m Among, p Page) ([]Project, string, error) {
	c, found, err := parseCursor(p.Cursor, "projects", 0, 1)
	if err != nil {
		return nil, "", err
	}
	var a arguments
	var w where
	m.and(&w, &a, `id`)
	if found {
		w.and(`name > ` + a.add(c.Texts[0]))
	}
	items, err := list(ctx, q, "list the projects", scanProject,
		`SELECT `+projectColumns+` FROM projects`+w.String()+` ORDER BY name LIMIT `+a.add(p.limit()+1), a...)
	if err != nil {
		return nil, "", err
	}
	items, next := cut(items, p.limit(), func(p Project) cursor { return cursor{List: "projects", Texts: []string{p.Name}} })
	return items, next, nil
}

// StagesAmong is Stages for a reader who may see no others.
func (q queries) StagesAmong(ctx context.Context, m Among, projectID string) ([]Stage, error) {
	var a arguments
	var w where
	m.and(&w, &a, `project_id`)
	if projectID != "" {
		w.and(`project_id = ` + a.add(projectID))
	}
	return list(ctx, q, "list the stages", q.scanStage,
		`SELECT `+stageColumns+` FROM stages`+w.String()+` ORDER BY project_id, name`, a...)
}

// FailedDeploysAmong is FailedDeploys for a reader who may see no others.
func (q queries) FailedDeploysAmong(ctx context.Context, m Among, since time.Time, n int) ([]Deploy, error) {
	a := arguments{string(DeployFailed), since.UnixMilli()}
	w := where{`state = $1`, `ended_at > $2`}
	m.and(&w, &a, `project_id`)
	return list(ctx, q, "list the failed deploys", scanDeploy,
		`SELECT `+deployColumns+` FROM deploys`+w.String()+` ORDER BY ended_at DESC, id DESC LIMIT `+a.add(n), a...)
}
