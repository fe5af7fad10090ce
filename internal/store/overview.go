package store

import (
	"context"
	"strings"
	"time"
)

// StaleFigures counts the stale instances of one project.
type StaleFigures struct {
	ProjectID string
	Project   string
	Count     int
	Kept      int   // of those, protected
	Bytes     int64 // known to come back, of those that are not kept
	ByAge     []int // those that are not kept by StaleAges: last alive less than the first ago, and so on; the last is the rest
}

// StaleAges are the bounds by which StaleFigures tells the ages apart.
func StaleAges() []time.Duration { return []time.Duration{7 * day, 14 * day, 30 * day, 90 * day} }

// StaleByProject counts the stale instances of each project that has any, in one query, by name.
func (q queries) StaleByProject(ctx context.Context, now time.Time, m Among) ([]StaleFigures, error) {
	var a arguments
	kind := protectionKind(a.add(now.UnixMilli()))
	kept := kind + ` <> ''`
	ages := StaleAges()
	var columns []string
	for i := range len(ages) + 1 {
		columns = append(columns, `CAST(SUM(CASE WHEN `+kind+` = '' AND `+ageBetween(&a, now, ages, i)+` THEN 1 ELSE 0 END) AS BIGINT)`)
	}
	w := where{`i.stale_since IS NOT NULL`, `i.status <> 'removing'`}
	m.and(&w, &a, `i.project_id`)
	return list(ctx, q, "count the stale instances by project", func(r row) (f StaleFigures, err error) {
		f.ByAge = make([]int, len(ages)+1)
		to := []any{&f.ProjectID, &f.Project, &f.Count, &f.Kept, &f.Bytes}
		for i := range f.ByAge {
			to = append(to, &f.ByAge[i])
		}
		return f, r.Scan(to...)
	}, `SELECT p.id, p.name, count(*), CAST(SUM(CASE WHEN `+kept+` THEN 1 ELSE 0 END) AS BIGINT),
		CAST(SUM(CASE WHEN i.size_at IS NOT NULL AND i.size_rw > 0 AND NOT (`+kept+`) THEN i.size_rw ELSE 0 END) AS BIGINT),
		`+strings.Join(columns, `, `)+` FROM instances i JOIN projects p ON p.id = i.project_id
		`+w.String()+` GROUP BY p.id, p.name ORDER BY p.name`, a...)
}

// ageBetween is the condition for the i-th of the ages: last alive at least the bound before it ago, and less than its own.
func ageBetween(a *arguments, now time.Time, ages []time.Duration, i int) string {
	var w where
	if i > 0 {
		w.and(aliveKey + ` <= ` + a.add(now.Add(-ages[i-1]).UnixMilli()))
	}
	if i < len(ages) {
		w.and(aliveKey + ` > ` + a.add(now.Add(-ages[i]).UnixMilli()))
	}
	if len(w) == 1 {
		return w[0]
	}
	return w[0] + ` AND ` + w[1]
}

// FailedDeploys returns the newest deploys that failed since a moment, at most n.
func (q queries) FailedDeploys(ctx context.Context, since time.Time, n int) ([]Deploy, error) {
	return q.FailedDeploysAmong(ctx, nil, since, n)
}

// OpenBlind returns the blind intervals that have not ended, of all hosts, oldest first.
func (q queries) OpenBlind(ctx context.Context) ([]BlindInterval, error) {
	return list(ctx, q, "list the open blind intervals", scanBlind,
		`SELECT `+blindColumns+` FROM blind_intervals WHERE ended_at IS NULL ORDER BY began_at, id`)
}

// PlanResults counts the items of plans by what became of them; "" is not applied.
func (q queries) PlanResults(ctx context.Context, planIDs []string) (map[string]map[CleanupResult]int, error) {
	counts := map[string]map[CleanupResult]int{}
	if len(planIDs) == 0 {
		return counts, nil
	}
	type line struct {
		planID string
		result CleanupResult
		n      int
	}
	var a arguments
	lines, err := list(ctx, q, "count the results of plans", func(r row) (l line, err error) { return l, r.Scan(&l.planID, &l.result, &l.n) },
		`SELECT plan_id, result, count(*) FROM plan_items WHERE plan_id IN `+in(&a, planIDs)+` GROUP BY plan_id, result`, a...)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if counts[l.planID] == nil {
			counts[l.planID] = map[CleanupResult]int{}
		}
		counts[l.planID][l.result] = l.n
	}
	return counts, nil
}
