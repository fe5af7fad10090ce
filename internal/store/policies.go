package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Policies returns the policy in force of each stage, by stage id; with no ids, of all stages. A stage that is not
// there is left out.
func (q queries) Policies(ctx context.Context, stageIDs ...string) (map[string]PolicyInForce, error) {
	all, err := q.policies.ask(func() (map[string]PolicyInForce, error) { return q.allPolicies(ctx) })
	if err != nil {
		return nil, err
	}
	if len(stageIDs) == 0 {
		return maps.Clone(all), nil
	}
	some := make(map[string]PolicyInForce, len(stageIDs))
	for _, id := range stageIDs {
		if p, known := all[id]; known {
			some[id] = p
		}
	}
	return some, nil
}

// policyCache remembers the policies in force, while nothing that decides them was written.
type policyCache struct {
	writes *atomic.Int64
	mu     sync.Mutex
	as     int64
	known  map[string]PolicyInForce
}

// ask returns the policies, reading them anew when something was written since. In a transaction there is no cache.
func (c *policyCache) ask(read func() (map[string]PolicyInForce, error)) (map[string]PolicyInForce, error) {
	if c == nil {
		return read()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	as := c.writes.Load()
	if c.known != nil && c.as == as {
		return c.known, nil
	}
	known, err := read()
	c.known, c.as = known, as
	return known, err
}

// movesPolicies reports whether a statement may change a policy in force.
func movesPolicies(query string) bool {
	for _, table := range []string{"projects", "stages", "settings"} {
		for _, verb := range []string{"INSERT INTO ", "UPDATE ", "DELETE FROM "} {
			if strings.HasPrefix(query, verb+table+" ") {
				return true
			}
		}
	}
	return false
}

// allPolicies works out the policy in force of every stage.
func (q queries) allPolicies(ctx context.Context) (map[string]PolicyInForce, error) {
	settings, err := q.Settings(ctx)
	if err != nil {
		return nil, err
	}
	global, err := q.GlobalPolicy(ctx)
	if err != nil {
		return nil, err
	}
	type ruled struct {
		id             string
		kind           StageKind
		stage, project Policy
	}
	stages, err := list(ctx, q, "read the policies", func(r row) (v ruled, err error) {
		var keepLast int
		err = r.Scan(&v.id, &v.kind, fromJSON{&v.stage}, threshold{&v.stage.StaleAfter}, count{&keepLast}, fromJSON{&v.project}, threshold{&v.project.StaleAfter})
		v.stage.KeepLast = keptLast(keepLast)
		return v, err
	}, `SELECT s.id, s.kind, s.policy, s.stale_after, s.keep_last, p.policy, p.stale_after FROM stages s JOIN projects p ON p.id = s.project_id`)
	if err != nil {
		return nil, err
	}
	all := make(map[string]PolicyInForce, len(stages))
	for _, s := range stages {
		all[s.id] = Resolve(s.kind, global, s.project, s.stage, settings.StaleThresholdDays)
	}
	return all, nil
}

// keptLast is the word of a stage's column.
func keptLast(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}

// GlobalPolicy returns what the global level itself says.
func (q queries) GlobalPolicy(ctx context.Context) (Policy, error) {
	var p Policy
	type setting struct{ name, value string }
	rows, err := list(ctx, q, "read the global policy", func(r row) (s setting, err error) { return s, r.Scan(&s.name, &s.value) },
		`SELECT name, value FROM settings WHERE name IN ($1, $2) ORDER BY name`, settingPolicy, settingThreshold)
	if err != nil {
		return Policy{}, err
	}
	for _, s := range rows { // the policy comes before the threshold
		if s.name == settingPolicy {
			if err := json.Unmarshal([]byte(s.value), &p); err != nil {
				return Policy{}, fmt.Errorf("read the global policy: %w: %w", ErrUnreadable, err)
			}
			continue
		}
		days, ok := wholeNumber([]byte(s.value))
		if !ok {
			return Policy{}, fmt.Errorf("read the global policy: %w: %s is %q", ErrUnreadable, s.name, s.value)
		}
		p.StaleAfter = &StaleAfter{After: time.Duration(days) * day}
	}
	return p, nil
}

// ProjectPolicy returns what a project itself says.
func (q queries) ProjectPolicy(ctx context.Context, projectID string) (Policy, error) {
	return one(ctx, q, "read the policy of project "+projectID, func(r row) (p Policy, err error) {
		return p, r.Scan(fromJSON{&p}, threshold{&p.StaleAfter})
	}, `SELECT policy, stale_after FROM projects WHERE id = $1`, projectID)
}

// StagePolicy returns what a stage itself says.
func (q queries) StagePolicy(ctx context.Context, stageID string) (Policy, error) {
	return one(ctx, q, "read the policy of stage "+stageID, func(r row) (p Policy, err error) {
		var keepLast int
		err = r.Scan(fromJSON{&p}, threshold{&p.StaleAfter}, count{&keepLast})
		p.KeepLast = keptLast(keepLast)
		return p, err
	}, `SELECT policy, stale_after, keep_last FROM stages WHERE id = $1`, stageID)
}

// SetGlobalPolicy writes what the global level says; StaleAfter goes to stale_threshold_days (whole days), and where it
// says none the built-in threshold is in force.
func (tx *Tx) SetGlobalPolicy(ctx context.Context, p Policy) error {
	days, err := thresholdDays(p.StaleAfter)
	if err = errors.Join(p.Validate(), err); err != nil {
		return err
	}
	text, err := jsonOf("write the global policy", p)
	if err != nil {
		return err
	}
	if err := tx.setSetting(ctx, settingPolicy, text); err != nil {
		return err
	}
	if p.StaleAfter == nil {
		_, err := tx.exec(ctx, "write the global policy", `DELETE FROM settings WHERE name = $1`, settingThreshold)
		return err
	}
	return tx.setSetting(ctx, settingThreshold, days)
}

// thresholdDays is the text of a global threshold.
func thresholdDays(s *StaleAfter) (string, error) {
	if s == nil {
		return "", nil
	}
	if s.Never || s.After < day || s.After%day != 0 {
		return "", FieldError{policyStaleAfter, fmt.Sprintf("must be whole days for all, from 1d to %dd; projects and stages may say otherwise", maxThresholdDays)}
	}
	return fmt.Sprint(int64(s.After / day)), nil
}

// SetProjectPolicy writes what a project says, its threshold included; ErrConflict when its revision moved.
func (tx *Tx) SetProjectPolicy(ctx context.Context, projectID string, p Policy, revision int64) error {
	if err := p.Validate(); err != nil {
		return err
	}
	text, err := jsonOf("write the policy of project "+projectID, p)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "write the policy of project "+projectID,
		`UPDATE projects SET policy = $1, stale_after = $2, updated_at = $3, revision = revision + 1 WHERE id = $4 AND revision = $5`,
		text, thresholdMillis(p.StaleAfter), now(), projectID, revision)
	if err != nil || n > 0 {
		return err
	}
	was, err := tx.Project(ctx, projectID)
	if err != nil {
		return err
	}
	return fmt.Errorf("write the policy of project %s: changed meanwhile: %w", was.Name, ErrConflict)
}

// SetStagePolicy writes what a stage says, its threshold and keep-last included; ErrConflict when its revision moved.
func (tx *Tx) SetStagePolicy(ctx context.Context, stageID string, p Policy, revision int64) error {
	if err := p.Validate(); err != nil {
		return err
	}
	keepLast := KeepInherit
	if p.KeepLast != nil {
		keepLast = *p.KeepLast
	}
	p.KeepLast = nil // the column says it
	text, err := jsonOf("write the policy of stage "+stageID, p)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "write the policy of stage "+stageID,
		`UPDATE stages SET policy = $1, stale_after = $2, keep_last = $3, updated_at = $4, revision = revision + 1 WHERE id = $5 AND revision = $6`,
		text, thresholdMillis(p.StaleAfter), keepLast, now(), stageID, revision)
	if err != nil || n > 0 {
		return err
	}
	was, err := tx.Stage(ctx, stageID)
	if err != nil {
		return err
	}
	return fmt.Errorf("write the policy of stage %s: changed meanwhile: %w", was.Name, ErrConflict)
}
