package stale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// PolicyChange is a policy of one level as somebody would like to have it.
type PolicyChange struct {
	Level     store.PolicyLevel // global, project or stage
	ProjectID string
	StageID   string
	Policy    store.Policy // whole: nil is inherited
	// AutoCleanup, when set, changes the global switch as well; of a change of the global level only.
	AutoCleanup *bool
}

// PolicyTrial is what a change of policy would do today. Each list holds at most 200; Counts counts them all.
type PolicyTrial struct {
	Considered  int // instances that the change is about
	Counts      TrialCounts
	NewlyStale  []TrialItem
	Spared      []TrialItem // stale now and not then
	NewCleaned  []TrialItem // automatic cleanup would take them then, and not now
	NoLonger    []TrialItem // automatic cleanup would take them now, and not then
	Rescheduled int         // taken both times, at another moment
	FirstRuns   []FirstRun  // what would happen by itself next, with the notice and the brake, on each host where anything would
}

// TrialCounts are how many instances each list of a trial is about.
type TrialCounts struct{ NewlyStale, Spared, NewCleaned, NoLonger int }

// TrialItem is one instance of a trial.
type TrialItem struct {
	View        store.InstanceView
	Now, Then   Decision
	StaleReason string // the verdict then, in words
}

const (
	trialListed = 200
	trialPage   = 1000
)

// notAlive are the statuses that can be stale.
var notAlive = []store.Status{
	store.StatusStopped, store.StatusPaused, store.StatusRestarting, store.StatusDead, store.StatusMissing, store.StatusFailed,
}

// TryPolicy works out what a change of policy would mark, spare and clean; nothing is written.
func (c *Cleaner) TryPolicy(ctx context.Context, change PolicyChange) (PolicyTrial, error) {
	if err := change.validate(); err != nil {
		return PolicyTrial{}, err
	}
	t, err := c.newTrial(ctx, change)
	if err != nil {
		return PolicyTrial{}, fmt.Errorf("try a policy: %w", err)
	}
	// All are looked at, also those that the change is not about: a run takes them together, and the brake counts them all.
	f := store.InstanceFilter{Statuses: notAlive}
	for cursor := ""; ; {
		views, next, err := c.db.Instances(ctx, f, store.Page{Limit: trialPage, Cursor: cursor})
		if err != nil {
			return PolicyTrial{}, fmt.Errorf("try a policy: %w", err)
		}
		for _, v := range views {
			t.weigh(v)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if t.FirstRuns, err = c.firstRuns(ctx, t); err != nil {
		return PolicyTrial{}, fmt.Errorf("try a policy: %w", err)
	}
	return t.PolicyTrial, nil
}

// validate also makes the filter of a change narrow enough: a level says nothing about what lies beside it.
func (ch *PolicyChange) validate() error {
	errs := []error{ch.Policy.Validate()}
	wrong := func(field, reason string) { errs = append(errs, store.FieldError{Field: field, Reason: reason}) }
	switch ch.Level {
	case store.LevelGlobal:
		ch.ProjectID, ch.StageID = "", ""
		if s := ch.Policy.StaleAfter; s != nil && (s.Never || s.After%day != 0) {
			wrong("stale_after", "must be whole days for all; projects and stages may say otherwise")
		}
	case store.LevelProject:
		ch.StageID = ""
		if ch.ProjectID == "" {
			wrong("project", "must name the project")
		}
	case store.LevelStage:
		ch.ProjectID = ""
		if ch.StageID == "" {
			wrong("stage", "must name the stage")
		}
	case store.LevelDefault:
		fallthrough
	default:
		wrong("level", "must be global, project or stage")
	}
	if ch.AutoCleanup != nil && ch.Level != store.LevelGlobal {
		wrong("auto_cleanup", "is said for all, at the global level")
	}
	return errors.Join(errs...)
}

// trial weighs instances by the policies in force and by those that would be.
type trial struct {
	PolicyTrial
	at        time.Time
	now, then map[string]store.PolicyInForce
	moved     map[string]bool // stages for which the change makes a difference
	ground    func(hostID string, then bool) Ground
	grounds   map[string][2]Ground       // by host: now and then
	kept      map[string]map[string]bool // by stage, where it would keep another number: the instances that it would keep
	footing   *footing
	awaited   map[string][]awaited // by host: what would be taken then
}

func (c *Cleaner) newTrial(ctx context.Context, change PolicyChange) (*trial, error) {
	f, err := c.footing(ctx)
	if err != nil {
		return nil, err
	}
	t := &trial{at: time.Now().UTC(), grounds: map[string][2]Ground{}, moved: map[string]bool{}, kept: map[string]map[string]bool{}, footing: f, awaited: map[string][]awaited{}}
	if t.now, err = c.db.Policies(ctx); err != nil {
		return nil, err
	}
	if t.then, err = c.policiesThen(ctx, change, t.now); err != nil {
		return nil, err
	}
	on := f.settings.AutoCleanup
	if change.AutoCleanup != nil {
		on = *change.AutoCleanup
	}
	for id := range t.then {
		t.moved[id] = on != f.settings.AutoCleanup || !reflect.DeepEqual(t.now[id], t.then[id])
		if err := t.keep(ctx, id, c.hands.GoodOnes); err != nil {
			return nil, err
		}
	}
	t.ground = func(hostID string, then bool) Ground {
		g := c.ground(f, hostID, t.at)
		if then {
			g.Off = !on
		}
		return g
	}
	return t, nil
}

// keep notes which instances a stage would keep for a rollback, if that is another number than now.
func (t *trial) keep(ctx context.Context, stageID string, goodOnes func(context.Context, string, int) ([]string, error)) error {
	if goodOnes == nil || t.now[stageID].KeepLast == t.then[stageID].KeepLast {
		return nil
	}
	ids, err := goodOnes(ctx, stageID, t.then[stageID].KeepLast)
	if err != nil {
		return fmt.Errorf("work out what would be kept for a rollback: %w", err)
	}
	kept := make(map[string]bool, len(ids))
	for _, id := range ids {
		kept[id] = true
	}
	t.kept[stageID] = kept
	return nil
}

// policiesThen are the policies in force of the stages concerned if the change were made.
func (c *Cleaner) policiesThen(ctx context.Context, change PolicyChange, now map[string]store.PolicyInForce) (map[string]store.PolicyInForce, error) {
	stages, err := c.stagesOf(ctx, change)
	if err != nil {
		return nil, err
	}
	global, err := c.db.GlobalPolicy(ctx)
	if err != nil {
		return nil, err
	}
	if change.Level == store.LevelGlobal {
		global = change.Policy
	}
	projects := map[string]store.Policy{}
	then := make(map[string]store.PolicyInForce, len(stages))
	for _, s := range stages {
		if _, known := now[s.ID]; !known {
			continue // made a moment ago
		}
		project, known := projects[s.ProjectID]
		if !known {
			if project, err = c.projectThen(ctx, change, s.ProjectID); err != nil {
				return nil, err
			}
			projects[s.ProjectID] = project
		}
		stage := change.Policy
		if change.Level != store.LevelStage {
			if stage, err = c.db.StagePolicy(ctx, s.ID); err != nil {
				return nil, err
			}
		}
		then[s.ID] = store.Resolve(s.Kind, global, project, stage, thresholdDays(global))
	}
	return then, nil
}

func (c *Cleaner) projectThen(ctx context.Context, change PolicyChange, projectID string) (store.Policy, error) {
	if change.Level == store.LevelProject {
		return change.Policy, nil
	}
	return c.db.ProjectPolicy(ctx, projectID)
}

func thresholdDays(global store.Policy) int {
	if global.StaleAfter == nil {
		return store.DefaultSettings().StaleThresholdDays
	}
	return int(global.StaleAfter.After / day)
}

// stagesOf are the stages that a change is about.
func (c *Cleaner) stagesOf(ctx context.Context, change PolicyChange) ([]store.Stage, error) {
	switch change.Level {
	case store.LevelStage:
		s, err := c.db.Stage(ctx, change.StageID)
		return []store.Stage{s}, err
	case store.LevelProject:
		if _, err := c.db.Project(ctx, change.ProjectID); err != nil {
			return nil, err
		}
	case store.LevelGlobal, store.LevelDefault:
	}
	return c.db.Stages(ctx, change.ProjectID)
}

// weigh compares what is made of one instance now and then.
func (t *trial) weigh(v store.InstanceView) {
	g, known := t.grounds[v.HostID]
	if !known {
		g = [2]Ground{t.ground(v.HostID, false), t.ground(v.HostID, true)}
		t.grounds[v.HostID] = g
	}
	now, then := t.now[v.StageID], t.then[v.StageID]
	if _, meant := t.then[v.StageID]; !meant {
		t.await(v, now, g[1])
		return
	}
	changed := v
	if kept, told := t.kept[v.StageID]; told {
		changed.RollbackKept = kept[v.ID]
	}
	t.await(changed, then, g[1])
	t.Considered++
	if !t.moved[v.StageID] {
		return
	}
	facts := FactsOf(v.Instance, t.at)
	staleNow := decide(facts, PolicyOf(now.StaleAfter), t.at).Stale
	staleThen := decide(facts, PolicyOf(then.StaleAfter), t.at).Stale
	a, b := Decide(v, now, g[0], t.at), Decide(changed, then, g[1], t.at)
	item := func() TrialItem {
		return TrialItem{View: v, Now: a, Then: b, StaleReason: Judge(facts, PolicyOf(then.StaleAfter), t.at).Reason}
	}
	note(&t.NewlyStale, &t.Counts.NewlyStale, staleThen && !staleNow, item)
	note(&t.Spared, &t.Counts.Spared, staleNow && !staleThen, item)
	note(&t.NewCleaned, &t.Counts.NewCleaned, a.At.IsZero() && !b.At.IsZero(), item)
	note(&t.NoLonger, &t.Counts.NoLonger, !a.At.IsZero() && b.At.IsZero(), item)
	t.Rescheduled += btoi(!a.At.IsZero() && !b.At.IsZero() && !a.At.Equal(b.At))
}

// note counts an instance that belongs into a list, and lists it while there is room.
func note(list *[]TrialItem, count *int, belongs bool, item func() TrialItem) {
	if !belongs {
		return
	}
	*count++
	if len(*list) < trialListed {
		*list = append(*list, item())
	}
}

// SetPolicy writes a policy of one level; revision guards projects and stages.
func (c *Cleaner) SetPolicy(ctx context.Context, change PolicyChange, revision int64, actor string) error {
	trial, err := c.TryPolicy(ctx, change)
	if err != nil {
		return err
	}
	if err := change.validate(); err != nil {
		return err
	}
	err = c.db.Update(ctx, func(tx *store.Tx) error {
		e, err := writePolicy(ctx, tx, change, revision)
		if err != nil {
			return err
		}
		e.Actor = actor
		e.Data["newly_stale"], e.Data["spared"] = trial.Counts.NewlyStale, trial.Counts.Spared
		e.Data["newly_cleaned"], e.Data["no_longer_cleaned"] = trial.Counts.NewCleaned, trial.Counts.NoLonger
		if trial.Counts.NewCleaned > 0 {
			e.Severity = store.SeverityWarn
			e.Message += fmt.Sprintf(": automatic cleanup would take %d instances that it would not have taken before", trial.Counts.NewCleaned)
		}
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("set the %s policy: %w", change.Level, err)
	}
	return nil
}

// writePolicy writes a policy and returns the event of it.
func writePolicy(ctx context.Context, tx *store.Tx, change PolicyChange, revision int64) (e store.Event, err error) {
	e = store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceSettings, Kind: "policy.updated",
		ProjectID: change.ProjectID, StageID: change.StageID,
	}
	var before store.Policy
	switch change.Level {
	case store.LevelStage:
		var stage store.Stage
		var project store.Project
		if before, err = tx.StagePolicy(ctx, change.StageID); err != nil {
			return e, err
		}
		if stage, err = tx.Stage(ctx, change.StageID); err != nil {
			return e, err
		}
		if project, err = tx.Project(ctx, stage.ProjectID); err != nil {
			return e, err
		}
		e.ProjectID, e.HostID = stage.ProjectID, stage.HostID
		e.Message = fmt.Sprintf("the policy of stage %s/%s was changed", project.Name, stage.Name)
		err = tx.SetStagePolicy(ctx, change.StageID, change.Policy, revision)
	case store.LevelProject:
		var project store.Project
		if before, err = tx.ProjectPolicy(ctx, change.ProjectID); err != nil {
			return e, err
		}
		if project, err = tx.Project(ctx, change.ProjectID); err != nil {
			return e, err
		}
		e.Message = fmt.Sprintf("the policy of project %s was changed", project.Name)
		err = tx.SetProjectPolicy(ctx, change.ProjectID, change.Policy, revision)
	case store.LevelGlobal, store.LevelDefault:
		if before, err = tx.GlobalPolicy(ctx); err != nil {
			return e, err
		}
		e.Message = "the global policy was changed"
		err = errors.Join(tx.SetGlobalPolicy(ctx, change.Policy), setSwitch(ctx, tx, change.AutoCleanup))
	}
	if err != nil {
		return e, err
	}
	e.Data = map[string]any{"level": string(change.Level)}
	if change.AutoCleanup != nil {
		e.Data["auto_cleanup"] = *change.AutoCleanup
	}
	from, err := policyWords(before)
	if err != nil {
		return e, err
	}
	to, err := policyWords(change.Policy)
	if err != nil {
		return e, err
	}
	e.Data["before"], e.Data["after"] = from, to
	d := store.Difference{}
	d.NoteEach(from, to)
	e.Differ(d)
	return e, nil
}

func setSwitch(ctx context.Context, tx *store.Tx, on *bool) error {
	if on == nil {
		return nil
	}
	settings, err := tx.Settings(ctx)
	if err != nil {
		return err
	}
	settings.AutoCleanup = *on
	return tx.SaveSettings(ctx, settings)
}

// policyWords is a policy as an event keeps it, its threshold included.
func policyWords(p store.Policy) (map[string]any, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	words := map[string]any{}
	if err := json.Unmarshal(text, &words); err != nil {
		return nil, err
	}
	if p.StaleAfter != nil {
		words["stale_after"] = p.StaleAfter.String()
	}
	return words, nil
}
