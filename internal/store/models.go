package store

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// A zero time.Time in a model means "never" or "not known"; it is stored as
// NULL. Times are UTC and kept with millisecond precision.

// Evidence says what the moment of "last alive" rests on.
type Evidence string

// The kinds of evidence, best first.
const (
	EvidenceObserved         Evidence = "observed"           // seen running by a scan, or told by an engine event
	EvidenceFinishedAt       Evidence = "finished_at"        // the engine's own end of the last run
	EvidenceFirstSeenStopped Evidence = "first_seen_stopped" // the engine holds no valid end: our first look at it not running
	EvidenceCreatedAt        Evidence = "created_at"         // never started: its creation
)

// Class says in which way an instance is not alive. It is empty while it runs.
type Class string

// The classes shown beside an age.
const (
	ClassNone         Class = ""
	ClassExited       Class = "exited"
	ClassFailed       Class = "failed"
	ClassOOM          Class = "oom"
	ClassNeverStarted Class = "never_started"
	ClassPaused       Class = "paused"
	ClassCrashLooping Class = "crash_looping"
	ClassDead         Class = "dead"
	ClassMissing      Class = "missing"
	ClassEngineLost   Class = "engine_lost"
)

// Intended is what a person or a deploy last asked of an instance. What the
// engine reports is Instance.Status: two fields, never mixed.
type Intended string

// The intended states.
const (
	IntendedRunning Intended = "running"
	IntendedStopped Intended = "stopped"
)

// Ownership says by what right docker-watcher may stop or remove a container.
type Ownership string

// The two ways to own a container; nothing else may ever be touched.
const (
	OwnershipCreated Ownership = "created" // a row of ours and the labels that we gave it
	OwnershipAdopted Ownership = "adopted" // a row of ours that an admin asked for
)

// Host is one Docker engine under an id that we give. What the engine says of
// itself (EngineID, DataRoot) are facts checked before each act: two engines of
// one machine can share an engine id.
type Host struct {
	ID            string
	Name          string
	Endpoint      string
	EngineID      string
	DataRoot      string
	EngineVersion string
	APIVersion    string
	OS, Arch      string
	ClockSkew     time.Duration // engine's clock minus ours
	// FrozenSince and FrozenReason are set while verdicts and cleanups of this
	// host are held back (changed engine, mass change, clock skew).
	FrozenSince  time.Time
	FrozenReason string
	LastScanAt   time.Time // newest scan, good or bad
	LastGoodScan time.Time
	// WatchedUntil is the newest moment, on the engine's clock, up to which its event stream was whole and
	// all that it told is in the rows. It says from when on a daemon that comes back knows nothing.
	WatchedUntil time.Time
	// AutoHeld is why automatic cleanup does nothing on this host; it is said once, when it begins.
	AutoHeld      string
	AutoHeldSince time.Time
	Access        HostAccess
	// DisabledSince is set while the host is not to be asked, judged or acted on.
	DisabledSince time.Time
	CreatedAt     time.Time
	UpdatedAt     time.Time
	Revision      int64 // of what people say of it
}

// FrozenEngineChanged is the reason of a host that is frozen because another engine answers, or may answer, for it.
const FrozenEngineChanged = "engine_changed"

// LocalHost is the name of the host that the daemon itself was given; it is managed by its flag.
const LocalHost = "local"

// HostAccess is what is needed to reach a host beside its endpoint, without secrets.
type HostAccess struct {
	Plain      bool   `json:"plain,omitempty"` // tcp:// without TLS is allowed
	CA         string `json:"ca,omitempty"`    // PEM, as the next
	Cert       string `json:"cert,omitempty"`
	ServerName string `json:"server_name,omitempty"`
	HostKey    string `json:"host_key,omitempty"` // of an ssh server, a line
}

// HostSecrets are what a host is reached with that nobody is ever shown.
type HostSecrets struct {
	TLSKey     string `json:"tls_key,omitempty"`
	SSHKey     string `json:"ssh_key,omitempty"`
	Passphrase string `json:"passphrase,omitempty"`
}

// HostUse is what names a host, and what is under way on it.
type HostUse struct {
	Instances, Stages, Archives int
	Plans                       int // that can still be applied, or are
	Deploys, Removals           int // under way
}

// Busy reports that something is under way.
func (u HostUse) Busy() bool { return u.Deploys+u.Removals > 0 }

// Used reports that something names the host.
func (u HostUse) Used() bool { return u.Instances+u.Stages+u.Archives+u.Plans > 0 || u.Busy() }

// Project is something that is deployed: a name and an image repository.
type Project struct {
	ID         string
	Name       string
	Image      string      // repository without a tag, e.g. ghcr.io/acme/shop
	StaleAfter *StaleAfter // nil: inherit the global threshold
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Revision   int64
}

// StageKind says what a stage is for; some defaults follow it.
type StageKind string

// The kinds of stages.
const (
	StageDev        StageKind = "dev"
	StageStaging    StageKind = "staging"
	StageProduction StageKind = "production"
	StagePreview    StageKind = "preview"
)

// Stage is a place in a project where versions run.
type Stage struct {
	ID         string
	ProjectID  string
	HostID     string
	Name       string
	Kind       StageKind
	StaleAfter *StaleAfter   // nil: inherit from the project
	KeepLast   int           // good former instances kept for rollback, as set on the stage; KeepInherit: its policy decides
	Drain      time.Duration // how long a former instance runs on after its routes lead to the new one
	Strategy   Strategy
	// ParallelMax and Domain are of the strategy parallel: the most instances at a time, and the template of their domains.
	ParallelMax int
	Domain      string
	Spec        Spec // defaults of its instances; env values are sealed at rest

	TagRule      *tagrule.Rule // which tags it follows; nil: none
	Mode         Mode          // what becomes of a tag that is ready; empty: manual
	MinImageAge  time.Duration // how old an image must be to be ready; 0: any
	PollInterval time.Duration // how often its registry is asked; 0: as the setting says

	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// Strategy says what becomes of the instances of a stage when another comes to serve.
type Strategy string

// The strategies.
const (
	StrategyReplace  Strategy = "replace"  // one serves: the new one takes the place of the former
	StrategyParallel Strategy = "parallel" // one of each tag serves, at most Stage.ParallelMax
)

// KeepInherit as Stage.KeepLast leaves it to the project's or the global policy.
const KeepInherit = -1

// StaleAfter is a threshold: a duration of at least one second, or never.
// Its text is 10s, 36h, 7d or never.
type StaleAfter struct {
	Never bool
	After time.Duration
}

// Instance is one container that docker-watcher made or adopted.
type Instance struct {
	ID          string
	HostID      string
	ProjectID   string
	StageID     string
	Name        string // the container's name
	ContainerID string // full id; empty until it is created
	Ownership   Ownership
	EngineID    string // of the engine that it was made on
	Image       string // repository
	ImageTag    string
	ImageID     string
	Digest      string // repository digest it was pulled by
	Spec        Spec   // what we deployed; filled only by InstanceSpec

	Status   Status
	Intended Intended

	// What the engine last said (inspect or event), on the engine's clock.
	ContainerCreatedAt time.Time
	StartedAt          time.Time
	FinishedAt         time.Time
	ExitCode           int
	OOMKilled          bool
	RestartCount       int
	EngineError        string
	// PolicyRun says that the current or last run was started by the engine's
	// restart policy; such a run under ten seconds is not a sign of life.
	PolicyRun bool

	LastAliveAt        time.Time
	Evidence           Evidence
	UpperBound         bool // LastAliveAt may be later than the truth, never earlier
	FirstSeenStoppedAt time.Time
	Class              Class
	StaleSince         time.Time // zero: not stale
	WarnedAt           time.Time // the warning of this episode; zero: not given (protected)
	CheckedAt          time.Time // last time the engine answered for it
	CheckError         string    // why the last check could not tell; empty when it could
	HeldBack           string    // why automatic cleanup must leave it alone (found by a mass change, engine lost)

	PinnedAt     time.Time
	PinnedBy     string
	PinReason    string
	SnoozedUntil time.Time
	SnoozedBy    string
	SnoozeReason string
	TagCheckedAt time.Time // when its tag was last looked for in its registry
	TagGoneSince time.Time // first time the registry said that it has the tag no more; zero: it has, or could not be asked
	KeepLabel    bool
	RollbackKept bool // one of the last good ones that its stage keeps
	SizeRw       int64
	SizeAt       time.Time // zero: SizeRw not known

	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// ProtectionKind says what keeps an instance from every cleanup.
type ProtectionKind string

// The kinds of protection, in the order in which they are shown.
const (
	ProtectionNone     ProtectionKind = ""
	ProtectionPinned   ProtectionKind = "pinned"
	ProtectionSnoozed  ProtectionKind = "snoozed"
	ProtectionKeep     ProtectionKind = "keep_label"
	ProtectionRollback ProtectionKind = "rollback"
	// ProtectionTagGone ends by an explicit yes in a plan, too: the registry could not give the image again.
	ProtectionTagGone ProtectionKind = "tag_gone"
)

// Protection is why an instance is kept although it may be stale.
type Protection struct {
	Kind  ProtectionKind
	Until time.Time // snoozed only
	By    string
	Why   string
}

// Protection returns what protects the instance at now, if anything does.
func (i *Instance) Protection(now time.Time) Protection {
	switch {
	case !i.PinnedAt.IsZero():
		return Protection{Kind: ProtectionPinned, By: i.PinnedBy, Why: i.PinReason}
	case i.SnoozedUntil.After(now):
		return Protection{Kind: ProtectionSnoozed, Until: i.SnoozedUntil, By: i.SnoozedBy, Why: i.SnoozeReason}
	case i.KeepLabel:
		return Protection{Kind: ProtectionKeep, Why: "the container carries the label docker-watcher.keep=true"}
	case i.RollbackKept:
		return Protection{Kind: ProtectionRollback, Why: "kept by its stage for rollback"}
	case !i.TagGoneSince.IsZero():
		return Protection{Kind: ProtectionTagGone, Why: "its registry has the tag no more: removing it needs an explicit yes"}
	}
	return Protection{}
}

// InstanceView is an instance with the names that people know it by and the
// threshold in force for it.
type InstanceView struct {
	Instance
	Project   string
	Stage     string
	StageKind StageKind
	Host      string
	// HostDisabled is since when its host is not asked.
	HostDisabled time.Time
	StaleAfter   StaleAfter
}

// Severity of an event.
type Severity string

// The severities. Warn and error events are always kept.
const (
	SeverityInfo  Severity = "info"
	SeverityWarn  Severity = "warn"
	SeverityError Severity = "error"
)

// Source says which part of docker-watcher an event comes from.
type Source string

// The sources of events.
const (
	SourceScanner  Source = "scanner"
	SourceCleaner  Source = "cleaner"
	SourceDeployer Source = "deployer"
	SourceEngine   Source = "engine"
	SourceAuth     Source = "auth"
	SourceSettings Source = "settings"
	SourceAPI      Source = "api"
	SourceSystem   Source = "system"
	SourcePoller   Source = "poller"
	SourceProxy    Source = "proxy"
	SourceNotifier Source = "notifier"
)

// Sources are all of them: whoever filters by source offers these.
func Sources() []Source {
	return []Source{SourceScanner, SourceCleaner, SourceDeployer, SourcePoller, SourceProxy, SourceEngine, SourceAuth, SourceSettings, SourceAPI, SourceSystem, SourceNotifier}
}

// Event is one line of the event log. ID is zero until it is kept; ids rise in
// the order of commits.
type Event struct {
	ID         int64
	Time       time.Time
	Severity   Severity
	Source     Source
	Kind       string // what happened, for machines: "instance.stale", "cleanup.removed"
	Message    string // what happened, for people
	ProjectID  string
	StageID    string
	InstanceID string
	HostID     string
	Actor      string // "user:anna", "token:ci" or "system"
	Data       map[string]any
}

// Settings are the global settings; Defaults are in settings.go.
type Settings struct {
	StaleThresholdDays   int           // 1..3650
	ScanInterval         time.Duration // 0: auto = smallest threshold in force / 7, at least 1 h
	EventRetentionDays   int
	ArchiveRetentionDays int
	PlanMaxItems         int // items of one cleanup plan, 1..500
	MassChangePercent    int // share of a host's instances that may vanish or flip at once, 1..100
	AutoCleanup          bool
	AutoWarmUp           time.Duration // automatic cleanup waits so long after a start and after blind time
	ArchiveLayerMax      int64         // bytes: a larger writable layer is not archived; 0: none is
	TrustedProxies       string        // networks of the proxies before ours whose X-Forwarded headers are believed; empty: none
	RefusedTargets       string        // networks that no route may lead to, beside those that never may
	PollInterval         time.Duration // how often registries are asked for the tags of stages that do not say it themselves
	RequireFactor        bool          // whoever signs in by a password needs a second factor
	UpdatedAt            time.Time
}

// ScanRun is one scan of one host and what it cost.
type ScanRun struct {
	ID         string
	HostID     string
	Trigger    string // schedule | manual | gap | start | settings | automatic
	StartedAt  time.Time
	FinishedAt time.Time
	ListCalls  int
	Inspects   int
	Known      int // instances of the host that were looked for
	Stale      int // stale after the scan
	NewlyStale int
	Recovered  int
	Unknown    int // could not be asked
	Outcome    ScanOutcome
	Error      string
}

// ScanOutcome says whether a scan could judge.
type ScanOutcome string

// The outcomes of a scan. A blind scan changed nothing.
const (
	ScanOK    ScanOutcome = "ok"
	ScanBlind ScanOutcome = "blind"
)

// BlindDisabled is the reason of a blind interval in which a host was out of use. Who takes it out of use opens it; the first
// good scan after it is in use again ends it, as any other.
const BlindDisabled = "disabled"

// BlindInterval is a stretch of time in which a host could not be judged.
type BlindInterval struct {
	ID     string
	HostID string
	From   time.Time
	To     time.Time // zero: still blind
	Reason string    // down | unreachable | empty_list | mass_change | clock | engine_changed | disabled
	Detail string
}

// PlanState is where a plan stands.
type PlanState string

// The states of a plan: planned may be applied until it expires; the rest is history.
const (
	PlanPlanned  PlanState = "planned"
	PlanApplying PlanState = "applying"
	PlanApplied  PlanState = "applied"
	// PlanCancelled was called off before anything was done.
	PlanCancelled PlanState = "cancelled"
)

// Plan is the frozen answer to "what would this cleanup do".
type Plan struct {
	ID        string
	State     PlanState
	Single    bool // made for one instance
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time
	AppliedAt time.Time
	AppliedBy string
	DoneAt    time.Time
	LeftOut   int // matched but beyond the item limit
	// Automatic plans are made by policies and applied by themselves at ApplyAt, unless somebody calls them off.
	Automatic bool
	ApplyAt   time.Time
	// TagGoneYes says that instances whose tag is gone from the registry are to be removed all the same.
	TagGoneYes bool
	Items      []PlanItem
}

// CleanupResult is what became of one item of a plan.
type CleanupResult string

// The results of a cleanup, per item.
const (
	ResultRemoved     CleanupResult = "removed"
	ResultAlreadyGone CleanupResult = "already_gone"
	ResultRevived     CleanupResult = "revived"
	ResultChanged     CleanupResult = "changed"
	ResultKept        CleanupResult = "kept"
	ResultInUse       CleanupResult = "in_use"
	ResultTimeout     CleanupResult = "timeout"
	ResultError       CleanupResult = "error"
)

// PlanItem is one instance of a plan: what it was when planned, the facts that
// it is bound to, and what became of it.
type PlanItem struct {
	PlanID       string
	Position     int
	InstanceID   string
	HostID       string
	EngineID     string
	DataRoot     string
	ContainerID  string
	Name         string
	ProjectID    string
	StageID      string
	Project      string
	Stage        string
	ImageTag     string
	Status       Status
	Class        Class
	Evidence     Evidence
	UpperBound   bool
	LastAliveAt  time.Time
	Reason       string // the verdict in words
	StartedAt    time.Time
	FinishedAt   time.Time
	RestartCount int
	Labels       map[string]string
	Details      PlanDetails
	Protection   Protection    // protected items are planned to be kept
	Result       CleanupResult // empty until applied
	ResultDetail string
	DoneAt       time.Time
}

// PlanDetails is what a person wants to know before saying yes.
type PlanDetails struct {
	Bytes      int64    `json:"bytes"` // writable layer; -1: not known
	ImageID    string   `json:"image_id,omitempty"`
	ImageRef   string   `json:"image_ref,omitempty"`
	ImageBytes int64    `json:"image_bytes,omitempty"` // when nobody else uses the image
	Volumes    []string `json:"volumes,omitempty"`     // stay, named and anonymous
	Routes     []string `json:"routes,omitempty"`      // go
	Warnings   []string `json:"warnings,omitempty"`
	// LayerKept says that an undo brings the writable layer back; NotRestored says in words what it would not bring back.
	LayerKept   bool     `json:"layer_kept,omitempty"`
	NotRestored []string `json:"not_restored,omitempty"`
	// LayerLost and ImageGone say the same to whoever carries the plan out: no more than this may be lost.
	LayerLost bool `json:"layer_lost,omitempty"`
	ImageGone bool `json:"image_gone,omitempty"`
	Unwritten bool `json:"unwritten,omitempty"` // it wrote nothing outside of its volumes
}

// RemovalStep is how far one removal has come; each step is safe to repeat.
type RemovalStep string

// The steps of a removal in their order.
const (
	RemovalIntended RemovalStep = "intended"
	RemovalStopping RemovalStep = "stopping" // we may have stopped it: start it again on take-back
	RemovalDeleting RemovalStep = "deleting"
)

// Removal is the intention row of a removal that is under way: the judged facts
// that must still hold when a restart finds it.
type Removal struct {
	InstanceID   string
	PlanID       string
	HostID       string
	EngineID     string // of the engine that it was begun on, as the next; empty: it does not say
	DataRoot     string
	ContainerID  string
	Former       Status // to return to when it is taken back
	Step         RemovalStep
	StartedAt    time.Time
	FinishedAt   time.Time
	RestartCount int
	Labels       map[string]string
	Actor        string
	ArchiveID    string // the copy that is being made for it; empty: none yet
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Role is what a caller may do.
type Role string

// The roles, each able to do what the ones before it can.
const (
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
	RoleAdmin    Role = "admin"
)

// Covers reports whether r may do what needs role need.
func (r Role) Covers(need Role) bool { return r.rank() > 0 && r.rank() >= need.rank() }

// Least is the smaller of two roles.
func (r Role) Least(other Role) Role {
	if r.rank() <= other.rank() {
		return r
	}
	return other
}

func (r Role) rank() int {
	switch r {
	case RoleViewer:
		return 1
	case RoleOperator:
		return 2
	case RoleAdmin:
		return 3
	}
	return 0
}

// User is a person who can sign in.
type User struct {
	ID           string
	Name         string
	PasswordHash string
	Role         Role // for all projects; empty: only what grants say
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DisabledAt   time.Time // zero: is not
	SignedInAt   time.Time // last; zero: never
	LinkHash     string    // of a one-time link that sets the password; empty: there is none
	LinkUntil    time.Time
	FactorSince  time.Time // the second factor is asked for since; zero: is not
	FactorStep   int64     // the newest step of it that was used
	Provider     string    // the issuer that the user comes in by; empty: by a password
	Subject      string    // who the user is to that issuer
}

// Session is a browser that is signed in; only the hash of its token is kept.
type Session struct {
	ID        string
	UserID    string
	TokenHash string
	UserAgent string
	Addr      string
	CreatedAt time.Time
	ExpiresAt time.Time
	SeenAt    time.Time // last; zero: not since it was opened
}

// Token is an API token; only its hash is kept.
type Token struct {
	ID         string
	Name       string
	TokenHash  string
	Role       Role
	CreatedBy  string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time
	UserID     string // whose it is: it can do no more than they can; empty: the daemon's
}
