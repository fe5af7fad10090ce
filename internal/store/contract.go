package store

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// The errors of the store. Everything else that it returns is a fault of the
// database and is wrapped with what was being done.
var (
	ErrNotFound      = errors.New("not found")
	ErrConflict      = errors.New("conflict")       // a unique name is taken, or the row moved on meanwhile
	ErrBadTransition = errors.New("bad transition") // the status table does not allow it
	ErrLocked        = errors.New("another daemon holds this store")
	ErrNewerSchema   = errors.New("the database was written by a newer docker-watcher")
)

// Options say which store to open.
type Options struct {
	// URL is postgres://... or a path of a SQLite file. Empty: docker-watcher.db in DataDir.
	URL string
	// DataDir holds the key file (0600, made on first use), the lock file and the SQLite file.
	DataDir string
	Log     *slog.Logger
}

// DB is the store. Its read methods (of queries) run on a pool of readers.
type DB struct{ queries }

// Tx is one write transaction. It has the reads of DB too, inside the transaction.
type Tx struct{ queries }

type queries struct{}

// Open opens the store, takes the leader lock, checks the database and migrates it.
func Open(ctx context.Context, o Options) (*DB, error) { panic("contract") }

// Close releases the lock.
func (db *DB) Close() error { panic("contract") }

// InstallationID is the random id made at first start, put as a label on everything we create.
func (db *DB) InstallationID() string { panic("contract") }

// Ping reports whether the database answers (for /readyz).
func (db *DB) Ping(ctx context.Context) error { panic("contract") }

// OnCommit sets who is told of kept events, once per commit and in the order of ids. Set before use.
func (db *DB) OnCommit(publish func([]Event)) { panic("contract") }

// Update runs fn in one write transaction. Events emitted in it are published after the commit.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error { panic("contract") }

// NewID returns a fresh id: 16 characters of lower-case base32, rising with time.
func NewID() string { panic("contract") }

// Page asks for one page; Limit 0 is 100, at most 1000. Cursor is a next cursor of the list before, or empty.
type Page struct {
	Limit  int
	Cursor string
}

// ---- events.go

// EventFilter selects events; zero fields do not filter. Newest first.
type EventFilter struct {
	Severities []Severity
	Sources    []Source
	ProjectID  string
	StageID    string
	InstanceID string
	HostID     string
	Text       string // in the message, case-insensitive
	From, To   time.Time
}

func (q queries) Events(ctx context.Context, f EventFilter, p Page) (items []Event, next string, err error) {
	panic("contract")
}

// EventsAfter returns kept events with an id above after, oldest first: the replay of a stream.
func (q queries) EventsAfter(ctx context.Context, after int64, limit int) ([]Event, error) {
	panic("contract")
}
func (q queries) LastEventID(ctx context.Context) (int64, error) { panic("contract") }

// Emit keeps events in this transaction; they are published, with ids, after the commit.
func (tx *Tx) Emit(ctx context.Context, events ...Event) error { panic("contract") }

// PruneEvents deletes at most limit events older than before, but never the newest
// stale warning of an instance that is still stale. It returns how many went.
func (tx *Tx) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	panic("contract")
}

// ---- settings.go

// DefaultSettings are in force until a setting is changed.
func DefaultSettings() Settings { panic("contract") }

func (q queries) Settings(ctx context.Context) (Settings, error)  { panic("contract") }
func (tx *Tx) SaveSettings(ctx context.Context, s Settings) error { panic("contract") }

// Validate reports every wrong field, by its API name.
func (s Settings) Validate() error { panic("contract") }

// SmallestThreshold is the smallest stale threshold in force anywhere (global, projects, stages); it decides the auto scan interval.
func (q queries) SmallestThreshold(ctx context.Context) (time.Duration, error) { panic("contract") }

// ---- hosts.go

func (q queries) Host(ctx context.Context, id string) (Host, error) { panic("contract") }
func (q queries) Hosts(ctx context.Context) ([]Host, error)         { panic("contract") }
func (tx *Tx) InsertHost(ctx context.Context, h Host) error         { panic("contract") }
func (tx *Tx) UpdateHost(ctx context.Context, h Host) error         { panic("contract") }

// ---- projects.go, stages.go (names: [a-z0-9][a-z0-9-]{0,62}, unique; ErrConflict)

func (q queries) Project(ctx context.Context, id string) (Project, error)         { panic("contract") }
func (q queries) ProjectByName(ctx context.Context, name string) (Project, error) { panic("contract") }
func (q queries) Projects(ctx context.Context, p Page) ([]Project, string, error) { panic("contract") }
func (tx *Tx) InsertProject(ctx context.Context, p Project) error                 { panic("contract") }
func (tx *Tx) UpdateProject(ctx context.Context, p Project) error                 { panic("contract") } // compare-and-set on Revision
func (tx *Tx) DeleteProject(ctx context.Context, id string) error                 { panic("contract") } // ErrConflict while it has stages
func (q queries) Stage(ctx context.Context, id string) (Stage, error)             { panic("contract") } // with its Spec, env opened
func (q queries) StageByName(ctx context.Context, projectID, name string) (Stage, error) {
	panic("contract")
}
func (q queries) Stages(ctx context.Context, projectID string) ([]Stage, error) { panic("contract") } // projectID "": all
func (tx *Tx) InsertStage(ctx context.Context, s Stage) error                   { panic("contract") }
func (tx *Tx) UpdateStage(ctx context.Context, s Stage) error                   { panic("contract") }
func (tx *Tx) DeleteStage(ctx context.Context, id string) error                 { panic("contract") } // ErrConflict while it has instances

// ParseStaleAfter reads 10s, 36h, 7d or never; at least one second.
func ParseStaleAfter(s string) (StaleAfter, error) { panic("contract") }
func (s StaleAfter) String() string                { panic("contract") }

// ---- instances.go

// InstanceFilter selects instances; zero fields do not filter.
type InstanceFilter struct {
	ProjectID string
	StageID   string
	HostID    string
	Statuses  []Status
	Text      string // in name, tag, image or container id
}

func (q queries) Instance(ctx context.Context, id string) (InstanceView, error) { panic("contract") }

// InstanceSpec opens the sealed spec that the instance was deployed with.
func (q queries) InstanceSpec(ctx context.Context, id string) (Spec, error) { panic("contract") }
func (q queries) InstanceByContainer(ctx context.Context, hostID, containerID string) (InstanceView, error) {
	panic("contract")
}
func (q queries) Instances(ctx context.Context, f InstanceFilter, p Page) ([]InstanceView, string, error) {
	panic("contract")
}

// InstancesOfHost returns every instance of a host, without specs: what a scan looks for.
func (q queries) InstancesOfHost(ctx context.Context, hostID string) ([]InstanceView, error) {
	panic("contract")
}

// StaleSort is an order of the stale list.
type StaleSort string

// The orders of the stale list; StaleOldest (longest dead first) is the default.
const (
	StaleOldest  StaleSort = "last_alive_at"
	StaleNewest  StaleSort = "-last_alive_at"
	StaleByName  StaleSort = "project" // project, stage, name
	StaleLargest StaleSort = "-bytes"
)

// StaleFilter selects stale instances.
type StaleFilter struct {
	ProjectID   string
	StageID     string
	HostID      string
	InstanceIDs []string
	Classes     []Class
	Text        string
	Protected   *bool // by the protection in force at Now
	Now         time.Time
	OlderThan   time.Duration // last alive longer ago than this
	Sort        StaleSort
}

// StaleInstances returns a page of the stale instances (StaleSince set, not
// removing). Total is the number that match, counted only on the first page (else -1).
func (q queries) StaleInstances(ctx context.Context, f StaleFilter, p Page) (items []InstanceView, next string, total int, err error) {
	panic("contract")
}

func (tx *Tx) InsertInstance(ctx context.Context, i Instance) error { panic("contract") }

// RecordInstance writes every fact of next (not its spec, not its protection) if the
// row is still as prev was (compare-and-set on Revision and Status; ErrConflict) and the status may
// move so (ErrBadTransition). last_alive_at never moves backwards by it, save where prev's value was
// beyond engineNow + 60 s. It sets next.Revision.
func (tx *Tx) RecordInstance(ctx context.Context, prev Instance, next *Instance, engineNow time.Time) error {
	panic("contract")
}

// UpdateLastAliveAt moves last_alive_at forward to at, never backwards, unless the
// stored value lies beyond engineNow + 60 s.
func (tx *Tx) UpdateLastAliveAt(ctx context.Context, id string, at, engineNow time.Time) error {
	panic("contract")
}

// TouchRunning does the same for every instance of the host whose status is running, but for the given ids. One statement.
func (tx *Tx) TouchRunning(ctx context.Context, hostID string, at time.Time, except []string) error {
	panic("contract")
}

// SetProtection writes the pin and snooze fields of i (compare-and-set on Revision).
func (tx *Tx) SetProtection(ctx context.Context, i Instance) error             { panic("contract") }
func (tx *Tx) SetIntended(ctx context.Context, id string, want Intended) error { panic("contract") }
func (tx *Tx) SetSize(ctx context.Context, id string, bytes int64, at time.Time) error {
	panic("contract")
}

// SetRollbackKept marks exactly these instances of a stage as kept for rollback.
func (tx *Tx) SetRollbackKept(ctx context.Context, stageID string, ids []string) error {
	panic("contract")
}

// ---- scans.go

func (tx *Tx) InsertScanRun(ctx context.Context, r ScanRun) error { panic("contract") } // keeps the newest 1000 a host
func (q queries) ScanRuns(ctx context.Context, hostID string, p Page) ([]ScanRun, string, error) {
	panic("contract")
}                                                                           // newest first
func (tx *Tx) OpenBlindInterval(ctx context.Context, b BlindInterval) error { panic("contract") } // a no-op while one of the same reason is open
func (tx *Tx) CloseBlindIntervals(ctx context.Context, hostID string, to time.Time) error {
	panic("contract")
}
func (q queries) BlindIntervals(ctx context.Context, hostID string, since time.Time) ([]BlindInterval, error) {
	panic("contract")
}

// ---- plans.go

func (q queries) Plan(ctx context.Context, id string) (Plan, error) { panic("contract") }
func (tx *Tx) InsertPlan(ctx context.Context, p Plan) error         { panic("contract") }

// ClaimPlan moves a plan from planned to applying; ErrConflict when it was used or has expired by now.
func (tx *Tx) ClaimPlan(ctx context.Context, id, by string, now time.Time) error { panic("contract") }
func (tx *Tx) SetPlanResult(ctx context.Context, planID, instanceID string, r CleanupResult, detail string, at time.Time) error {
	panic("contract")
}
func (tx *Tx) FinishPlan(ctx context.Context, id string, at time.Time) error { panic("contract") }

// UnfinishedPlans returns plans left applying by a crash.
func (q queries) UnfinishedPlans(ctx context.Context) ([]Plan, error) { panic("contract") }

// ---- removals.go

// BeginRemoval moves the instance from r.Former to removing (compare-and-set;
// ErrConflict if the status or revision moved) and writes the intention row.
func (tx *Tx) BeginRemoval(ctx context.Context, r Removal, revision int64) error { panic("contract") }
func (tx *Tx) SetRemovalStep(ctx context.Context, instanceID string, step RemovalStep) error {
	panic("contract")
}

// TakeBackRemoval returns the instance to its former status and forgets the intention.
func (tx *Tx) TakeBackRemoval(ctx context.Context, instanceID string) error { panic("contract") }

// FinishRemoval deletes the instance, its routes and the intention row.
func (tx *Tx) FinishRemoval(ctx context.Context, instanceID string) error { panic("contract") }
func (q queries) Removals(ctx context.Context) ([]Removal, error)         { panic("contract") }

// RoutesOf returns the domains that lead to an instance.
func (q queries) RoutesOf(ctx context.Context, instanceID string) ([]string, error) {
	panic("contract")
}

// ---- deploys.go

func (q queries) Deploy(ctx context.Context, id string) (Deploy, error) { panic("contract") }
func (q queries) Deploys(ctx context.Context, projectID, stageID string, p Page) ([]Deploy, string, error) {
	panic("contract")
}
func (q queries) OpenDeploys(ctx context.Context) ([]Deploy, error) { panic("contract") }

// InsertDeploy starts a deploy; ErrConflict while another of the stage is open.
func (tx *Tx) InsertDeploy(ctx context.Context, d Deploy) error { panic("contract") }

// UpdateDeploy writes state, instance, digest, error and end, if the deploy had not ended (ErrConflict).
func (tx *Tx) UpdateDeploy(ctx context.Context, d Deploy) error { panic("contract") }

// ---- users.go, sessions.go, tokens.go

func (q queries) UserCount(ctx context.Context) (int, error)                { panic("contract") }
func (q queries) User(ctx context.Context, id string) (User, error)         { panic("contract") }
func (q queries) UserByName(ctx context.Context, name string) (User, error) { panic("contract") }
func (tx *Tx) InsertUser(ctx context.Context, u User) error                 { panic("contract") }
func (tx *Tx) UpdateUser(ctx context.Context, u User) error                 { panic("contract") }
func (q queries) SessionByHash(ctx context.Context, hash string) (Session, User, error) {
	panic("contract")
}
func (tx *Tx) InsertSession(ctx context.Context, s Session) error             { panic("contract") }
func (tx *Tx) DeleteSession(ctx context.Context, id string) error             { panic("contract") }
func (tx *Tx) DeleteExpiredSessions(ctx context.Context, now time.Time) error { panic("contract") }
func (q queries) Tokens(ctx context.Context) ([]Token, error)                 { panic("contract") }
func (q queries) TokenByHash(ctx context.Context, hash string) (Token, error) { panic("contract") }
func (tx *Tx) InsertToken(ctx context.Context, t Token) error                 { panic("contract") }
func (tx *Tx) DeleteToken(ctx context.Context, id string) error               { panic("contract") }
func (tx *Tx) TouchToken(ctx context.Context, id string, at time.Time) error  { panic("contract") }

// Secret is a small sealed value kept in the store by name (the setup link's hash, cursors' key).
func (q queries) Secret(ctx context.Context, name string) (string, error) { panic("contract") }
func (tx *Tx) SetSecret(ctx context.Context, name, value string) error    { panic("contract") }
func (tx *Tx) DeleteSecret(ctx context.Context, name string) error        { panic("contract") }
