package store

import (
	"context"
	"fmt"
	"time"
)

// NotifyRule says which events go to which channels, and when.
type NotifyRule struct {
	ID       string
	Name     string
	Enabled  bool     // off: what happens meanwhile is not told
	Channels []string // ids; none: what happens waits in the event log until there is one
	NotifyWants
	NotifyTiming
	AfterID   int64 // the last event that it has seen
	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// NotifyWants is which events a rule is for. An empty list wants all.
type NotifyWants struct {
	Severities []Severity `json:"severities,omitempty"`
	Sources    []Source   `json:"sources,omitempty"`
	Kinds      []string   `json:"kinds,omitempty"`    // instance.stale, or deploy.* for all that begin so
	Projects   []string   `json:"projects,omitempty"` // ids
}

// NotifyTiming is when a rule has things told.
type NotifyTiming struct {
	Gather       time.Duration `json:"gather,omitempty"`        // what comes within so long becomes one message; errors go at once
	GatherErrors bool          `json:"gather_errors,omitempty"` // errors are gathered, too
	Quiet        QuietHours    `json:"quiet,omitzero"`
}

// QuietHours are a part of each day, by the clocks of a place, in which nothing is sent.
type QuietHours struct {
	From       string `json:"from,omitempty"` // 22:00; empty: there are none
	To         string `json:"to,omitempty"`
	Zone       string `json:"zone,omitempty"` // Europe/Berlin; empty: UTC
	HoldErrors bool   `json:"hold_errors,omitempty"`
}

const (
	ruleFields = `id, name, enabled, wants, timing, after_id, created_at, updated_at, revision`
	selectRule = `SELECT ` + ruleFields + ` FROM notify_rules`
)

func scanRule(r row) (n NotifyRule, err error) {
	err = r.Scan(&n.ID, &n.Name, truth{&n.Enabled}, fromJSON{&n.NotifyWants}, fromJSON{&n.NotifyTiming}, &n.AfterID,
		at{&n.CreatedAt}, at{&n.UpdatedAt}, &n.Revision)
	return n, err
}

// NotifyRules returns all rules, by name.
func (q queries) NotifyRules(ctx context.Context) ([]NotifyRule, error) {
	rules, err := list(ctx, q, "list the rules", scanRule, selectRule+` ORDER BY name`)
	if err != nil || len(rules) == 0 {
		return nil, err
	}
	type lead struct{ rule, channel string }
	leads, err := list(ctx, q, "list the channels of rules", func(r row) (l lead, err error) { return l, r.Scan(&l.rule, &l.channel) },
		`SELECT rule_id, channel_id FROM notify_rule_channels ORDER BY rule_id, channel_id`)
	if err != nil {
		return nil, err
	}
	of := map[string][]string{}
	for _, l := range leads {
		of[l.rule] = append(of[l.rule], l.channel)
	}
	for i := range rules {
		rules[i].Channels = of[rules[i].ID]
	}
	return rules, nil
}

// NotifyRule returns one rule.
func (q queries) NotifyRule(ctx context.Context, id string) (NotifyRule, error) {
	return q.ruleBy(ctx, id, func(r NotifyRule) bool { return r.ID == id })
}

// NotifyRuleByName returns one rule.
func (q queries) NotifyRuleByName(ctx context.Context, name string) (NotifyRule, error) {
	return q.ruleBy(ctx, name, func(r NotifyRule) bool { return r.Name == name })
}

// ruleBy looks through all of them: there are few.
func (q queries) ruleBy(ctx context.Context, named string, is func(NotifyRule) bool) (NotifyRule, error) {
	rules, err := q.NotifyRules(ctx)
	if err != nil {
		return NotifyRule{}, err
	}
	for _, r := range rules {
		if is(r) {
			return r, nil
		}
	}
	return NotifyRule{}, fmt.Errorf("read rule %s: %w", named, ErrNotFound)
}

// InsertNotifyRule adds a rule, which sees what happens from now on; ErrConflict when its name is taken, ErrNotFound when one
// of its channels does not exist.
func (tx *Tx) InsertNotifyRule(ctx context.Context, r NotifyRule) error {
	if err := ValidName(r.Name); err != nil {
		return err
	}
	last, err := tx.LastEventID(ctx)
	if err != nil {
		return err
	}
	what := "add rule " + r.Name
	wants, timing, err := r.texts(what)
	if err != nil {
		return err
	}
	stamp := now()
	if _, err := tx.exec(ctx, what, `INSERT INTO notify_rules (`+ruleFields+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		r.ID, r.Name, bit(r.Enabled), wants, timing, last, orNow(r.CreatedAt, stamp), stamp, r.Revision); err != nil {
		return err
	}
	return tx.leadTo(ctx, r)
}

func (r NotifyRule) texts(what string) (wants, timing string, err error) {
	if wants, err = jsonOf(what, r.NotifyWants); err != nil {
		return "", "", err
	}
	timing, err = jsonOf(what, r.NotifyTiming)
	return clean(wants), clean(timing), err
}

// leadTo writes to which channels a rule leads.
func (tx *Tx) leadTo(ctx context.Context, r NotifyRule) error {
	what := "lead rule " + r.Name
	if _, err := tx.exec(ctx, what, `DELETE FROM notify_rule_channels WHERE rule_id = $1`, r.ID); err != nil {
		return err
	}
	for _, id := range r.Channels {
		if _, err := tx.Channel(ctx, id); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, what, `INSERT INTO notify_rule_channels (rule_id, channel_id) VALUES ($1, $2)`, r.ID, id); err != nil {
			return err
		}
	}
	return nil
}

// UpdateNotifyRule writes a rule if its revision is still the one given; the revision rises by one. One that is put on again
// sees what happens from now on.
func (tx *Tx) UpdateNotifyRule(ctx context.Context, r NotifyRule) error {
	if err := ValidName(r.Name); err != nil {
		return err
	}
	former, err := tx.NotifyRule(ctx, r.ID)
	if err != nil {
		return err
	}
	after := former.AfterID
	if r.Enabled && !former.Enabled {
		if after, err = tx.LastEventID(ctx); err != nil {
			return err
		}
	}
	what := "update rule " + r.Name
	wants, timing, err := r.texts(what)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, what, `UPDATE notify_rules SET name = $1, enabled = $2, wants = $3, timing = $4, after_id = $5, updated_at = $6,
		revision = revision + 1 WHERE id = $7 AND revision = $8`, r.Name, bit(r.Enabled), wants, timing, after, now(), r.ID, r.Revision)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s: changed meanwhile: %w", what, ErrConflict)
	}
	return tx.leadTo(ctx, r)
}

// DeleteNotifyRule forgets a rule. What it put into the outbox is sent.
func (tx *Tx) DeleteNotifyRule(ctx context.Context, id string) error {
	return tx.execOne(ctx, "forget rule "+id, ErrNotFound, `DELETE FROM notify_rules WHERE id = $1`, id)
}

// RuleHasSeen notes up to which event a rule has seen the log. It never goes back.
func (tx *Tx) RuleHasSeen(ctx context.Context, id string, last int64) error {
	_, err := tx.exec(ctx, "note what rule "+id+" has seen", `UPDATE notify_rules SET after_id = $1 WHERE id = $2 AND after_id < $3`, last, id, last)
	return err
}
