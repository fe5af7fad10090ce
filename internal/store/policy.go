package store

import (
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

// Window is when automatic cleanup may act: days of the week and hours, in a time zone. A window whose
// end is not after its begin reaches into the next day.
type Window struct {
	Days  []time.Weekday // none: every day
	From  TimeOfDay
	Until TimeOfDay // both zero: the whole day
	Zone  string    // IANA name; empty is UTC
}

// TimeOfDay is minutes since midnight; its text is 15:04.
type TimeOfDay int

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

	StaleAfterFrom, ActionFrom, CleanupAfterFrom, WindowFrom, KeepLastFrom PolicyLevel
}
