package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// PolicyAction is what happens to an instance that became stale, when nobody does anything.
type PolicyAction string

// The actions. Warning comes first with either.
const (
	ActionWarn    PolicyAction = "warn"
	ActionCleanup PolicyAction = "cleanup"
)

// Policy is what one level (global, project, stage) says; nil is inherited from the level above.
type Policy struct {
	StaleAfter      *StaleAfter    // the level's own column or setting, not part of the JSON that is kept
	Action          *PolicyAction  // what becomes of a stale instance
	CleanupAfter    *time.Duration // grace between the warning and an automatic cleanup
	Window          *Window        // when automatic cleanup may act
	KeepLast        *int           // good former instances that a stage keeps for rollback, 0..100
	MaxPerRun       *int           // brake: a run that would touch more does nothing, 1..500
	MaxSharePercent *int           // brake: the same for the share of its host's instances, 1..100
}

// PolicyLevel says which level decided a part of a policy in force.
type PolicyLevel string

// The levels, and what is built in where no level says anything.
const (
	LevelDefault PolicyLevel = "default"
	LevelGlobal  PolicyLevel = "global"
	LevelProject PolicyLevel = "project"
	LevelStage   PolicyLevel = "stage"
)

// PolicyInForce is the policy of one stage with every part decided, and who decided it.
type PolicyInForce struct {
	StaleAfter      StaleAfter
	Action          PolicyAction
	CleanupAfter    time.Duration
	Window          Window
	KeepLast        int
	MaxPerRun       int
	MaxSharePercent int

	StaleAfterFrom, ActionFrom, CleanupAfterFrom, WindowFrom, KeepLastFrom, MaxPerRunFrom, MaxSharePercentFrom PolicyLevel
}

// The names of the parts of a policy, and their bounds.
const (
	policyAction       = "action"
	policyCleanupAfter = "cleanup_after"
	policyWindow       = "window"
	policyKeepLast     = "keep_last"
	policyMaxPerRun    = "max_per_run"
	policyMaxShare     = "max_share_percent"
	policyStaleAfter   = "stale_after"

	maxCleanupAfter = 365 * day
	cleanupReason   = `must be a duration from 0s to 365d, such as "36h" or "7d"`
)

// defaultPolicy is in force where no level says anything.
func defaultPolicy() PolicyInForce {
	return PolicyInForce{
		Action: ActionWarn, CleanupAfter: day, KeepLast: 2, MaxPerRun: 10, MaxSharePercent: 25,
		StaleAfterFrom: LevelDefault, ActionFrom: LevelDefault, CleanupAfterFrom: LevelDefault, WindowFrom: LevelDefault, KeepLastFrom: LevelDefault,
		MaxPerRunFrom: LevelDefault, MaxSharePercentFrom: LevelDefault,
	}
}

// Resolve decides every part of the policy of a stage: the stage's word, else its project's, else the global one,
// else what is built in. What a production stage does not say itself is only a warning: no wider level reaches it.
// ThresholdDays is the global threshold where global does not say one.
func Resolve(kind StageKind, global, project, stage Policy, thresholdDays int) PolicyInForce {
	p := defaultPolicy()
	p.StaleAfter = StaleAfter{After: time.Duration(thresholdDays) * day}
	if thresholdDays != DefaultSettings().StaleThresholdDays {
		p.StaleAfterFrom = LevelGlobal
	}
	for _, l := range []struct {
		level PolicyLevel
		says  Policy
	}{{LevelGlobal, global}, {LevelProject, project}, {LevelStage, stage}} {
		if kind == StageProduction && l.level != LevelStage {
			l.says.Action = nil
		}
		decide(&p.StaleAfter, &p.StaleAfterFrom, l.says.StaleAfter, l.level)
		decide(&p.Action, &p.ActionFrom, l.says.Action, l.level)
		decide(&p.CleanupAfter, &p.CleanupAfterFrom, l.says.CleanupAfter, l.level)
		decide(&p.Window, &p.WindowFrom, l.says.Window, l.level)
		decide(&p.KeepLast, &p.KeepLastFrom, l.says.KeepLast, l.level)
		decide(&p.MaxPerRun, &p.MaxPerRunFrom, l.says.MaxPerRun, l.level)
		decide(&p.MaxSharePercent, &p.MaxSharePercentFrom, l.says.MaxSharePercent, l.level)
	}
	return p
}

// decide takes the word of a level, if it has one.
func decide[T any](part *T, from *PolicyLevel, word *T, level PolicyLevel) {
	if word != nil {
		*part, *from = *word, level
	}
}

// Validate reports every wrong part, by its API name.
func (p Policy) Validate() error {
	var errs []error
	if p.StaleAfter != nil {
		if err := p.StaleAfter.Validate(); err != nil {
			errs = append(errs, FieldError{policyStaleAfter, err.Error()})
		}
	}
	if p.Action != nil && *p.Action != ActionWarn && *p.Action != ActionCleanup {
		errs = append(errs, FieldError{policyAction, "must be warn or cleanup"})
	}
	if d := p.CleanupAfter; d != nil && (*d < 0 || *d > maxCleanupAfter || *d%time.Second != 0) {
		errs = append(errs, FieldError{policyCleanupAfter, cleanupReason})
	}
	if p.Window != nil {
		errs = append(errs, p.Window.Validate())
	}
	for _, n := range p.numbers() {
		if v := *n.part; v != nil && (*v < n.min || *v > n.max) {
			errs = append(errs, FieldError{n.name, n.reason()})
		}
	}
	return errors.Join(errs...)
}

// policyNumber is a part of a policy that is a whole number.
type policyNumber struct {
	whole
	part **int
}

func (p *Policy) numbers() []policyNumber {
	return []policyNumber{
		{whole{name: policyKeepLast, min: 0, max: 100}, &p.KeepLast},
		{whole{name: policyMaxPerRun, min: 1, max: 500}, &p.MaxPerRun},
		{whole{name: policyMaxShare, min: 1, max: 100}, &p.MaxSharePercent},
	}
}

// MarshalJSON writes what the level says, under the API names; the threshold is not part of it.
func (p Policy) MarshalJSON() ([]byte, error) {
	said := map[string]any{}
	if p.Action != nil {
		said[policyAction] = *p.Action
	}
	if p.CleanupAfter != nil {
		said[policyCleanupAfter] = spanText(*p.CleanupAfter)
	}
	if p.Window != nil {
		said[policyWindow] = *p.Window
	}
	for _, n := range p.numbers() {
		if *n.part != nil {
			said[n.name] = **n.part
		}
	}
	return json.Marshal(said)
}

// UnmarshalJSON reads what MarshalJSON writes; null is inherited, keys that it does not know are refused.
func (p *Policy) UnmarshalJSON(raw []byte) error {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return fmt.Errorf("a policy is an object: %w", err)
	}
	var read Policy
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if part := bytes.TrimSpace(parts[name]); string(part) != "null" {
			errs = append(errs, read.set(name, part))
		} else if !slices.Contains(policyParts, name) {
			errs = append(errs, FieldError{name, notPolicy})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*p = read
	return nil
}

const notPolicy = "is not a part of a policy"

var policyParts = []string{policyAction, policyCleanupAfter, policyWindow, policyKeepLast, policyMaxPerRun, policyMaxShare}

// set takes one part.
func (p *Policy) set(name string, raw []byte) error {
	switch name {
	case policyAction:
		return p.setAction(raw)
	case policyCleanupAfter:
		return p.setCleanupAfter(raw)
	case policyWindow:
		p.Window = new(Window)
		return p.Window.UnmarshalJSON(raw)
	}
	for _, n := range p.numbers() {
		if n.name != name {
			continue
		}
		v, ok := wholeNumber(raw)
		if !ok || v < int64(n.min) || v > int64(n.max) {
			return FieldError{name, n.reason()}
		}
		number := int(v)
		*n.part = &number
		return nil
	}
	return FieldError{name, notPolicy}
}

func (p *Policy) setAction(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return FieldError{policyAction, "must be warn or cleanup"}
	}
	action := PolicyAction(text)
	p.Action = &action
	return Policy{Action: p.Action}.Validate()
}

func (p *Policy) setCleanupAfter(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return FieldError{policyCleanupAfter, cleanupReason}
	}
	after, err := parseSpan(text)
	if err != nil {
		return FieldError{policyCleanupAfter, cleanupReason}
	}
	p.CleanupAfter = &after
	return Policy{CleanupAfter: p.CleanupAfter}.Validate()
}

// strictly reads one JSON value and refuses keys that it does not know.
func strictly(raw []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(to)
}
