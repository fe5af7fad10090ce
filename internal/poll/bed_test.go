package poll

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

var errNoAnswer = errors.New("connection refused")

// pretended is a registry as a test wants it, that counts what it is asked.
type pretended struct {
	mu     sync.Mutex
	tags   map[string][]string  // by repository
	digest map[string]string    // by repository:tag; else made of it
	made   map[string]time.Time // by repository:tag or digest
	fails  map[string]error     // by repository, or repository:tag for its HEAD
	asked  map[string]int       // "tags REPOSITORY", "head ...", "made ..."
	gate   func(what string)    // called at each question, outside of the lock
}

func newPretended() *pretended {
	return &pretended{tags: map[string][]string{}, digest: map[string]string{}, made: map[string]time.Time{}, fails: map[string]error{}, asked: map[string]int{}}
}

func (p *pretended) note(what, of string) error {
	p.mu.Lock()
	p.asked[what+" "+of]++
	p.asked[what]++
	err, gate := p.fails[of], p.gate
	p.mu.Unlock()
	if gate != nil {
		gate(what + " " + of)
	}
	return err
}

func (p *pretended) Tags(_ context.Context, image string) ([]string, error) {
	if err := p.note("tags", image); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tags[image]), nil
}

func (p *pretended) Digest(_ context.Context, image, tag string) (string, error) {
	if err := p.note("head", image+":"+tag); err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d, said := p.digest[image+":"+tag]; said {
		return d, nil
	}
	return digestOf(image, tag), nil
}

func (p *pretended) Created(_ context.Context, image, tag string) (time.Time, error) {
	if err := p.note("made", image+":"+tag); err != nil {
		return time.Time{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made[image+":"+tag], nil
}

func digestOf(image, tag string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(image+":"+tag)))
}

// count is how often something was asked since the last reset.
func (p *pretended) count(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[what]
}

func (p *pretended) set(change func(p *pretended)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.asked)
	change(p)
}

// bed is a poller over a real store and a pretended registry; deploys are written down as the deployer would.
type bed struct {
	t        *testing.T
	db       *store.DB
	log      *slog.Logger
	registry *pretended
	poller   *Poller
	host     store.Host
	project  store.Project
	deploys  []string // "stage tag", as they were asked for
	judged   []string // the digest of each
	refuse   error    // what the deployer answers
	mu       sync.Mutex
}

const image = "registry.example/shop"

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, db: storetest.Open(t), registry: newPretended()}
	b.log = canarytest.Log(t, b.db)
	b.host = storetest.Host(t, b.db)
	b.project = storetest.Project(t, b.db, func(p *store.Project) { p.Name, p.Image = "shop", image })
	b.restart()
	return b
}

// restart is a poller that remembers nothing but what is in the store.
func (b *bed) restart() {
	b.poller = New(b.db, NewLooker(b.registry), b.deploy, b.log)
}

func (b *bed) deploy(ctx context.Context, stageID, tag, digest string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return b.refuse
	}
	st, err := b.db.Stage(ctx, stageID)
	if err != nil {
		return err
	}
	b.deploys = append(b.deploys, st.Name+" "+tag)
	b.judged = append(b.judged, digest)
	return b.db.Update(ctx, func(tx *store.Tx) error {
		return tx.InsertDeploy(ctx, store.Deploy{
			ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: st.HostID, Image: image, ImageTag: tag, State: store.DeployQueued, CreatedAt: time.Now().UTC(),
		})
	})
}

// ends has the open deploy of a stage end.
func (b *bed) ends(st store.Stage, state store.DeployState, digest string) {
	b.t.Helper()
	b.update(func(ctx context.Context, tx *store.Tx) error {
		open, err := tx.OpenDeploys(ctx)
		if err != nil {
			return err
		}
		for _, d := range open {
			if d.StageID == st.ID {
				d.State, d.Digest = state, digest
				return tx.UpdateDeploy(ctx, d)
			}
		}
		return fmt.Errorf("no deploy of %s is open", st.Name)
	})
}

// has has the stage deployed by a person.
func (b *bed) has(st store.Stage, tag string) {
	b.t.Helper()
	b.update(func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertDeploy(ctx, store.Deploy{
			ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: st.HostID, Image: image, ImageTag: tag, Digest: digestOf(image, tag), State: store.DeployDone,
			CreatedAt: time.Now().UTC(),
		})
	})
}

func (b *bed) update(fn func(ctx context.Context, tx *store.Tx) error) {
	b.t.Helper()
	storetest.Update(b.t, b.db, fn)
}

// stage makes one that follows.
func (b *bed) stage(name string, mode store.Mode, rule tagrule.Rule, edit ...func(*store.Stage)) store.Stage {
	b.t.Helper()
	return storetest.Stage(b.t, b.db, b.host, b.project, append([]func(*store.Stage){func(s *store.Stage) {
		s.Name, s.Mode, s.TagRule, s.Spec.Env = name, mode, &rule, []store.EnvVar{canarytest.Env()}
	}}, edit...)...)
}

func (b *bed) pushed(tags ...string) {
	b.registry.set(func(p *pretended) { p.tags[image] = tags })
}

// round polls everything now, whenever it is due.
func (b *bed) round() {
	b.t.Helper()
	b.update(func(ctx context.Context, tx *store.Tx) error {
		polls, err := tx.StagePolls(ctx)
		if err != nil {
			return err
		}
		for id := range polls {
			if err := tx.PollAtOnce(ctx, id); err != nil {
				return err
			}
		}
		return nil
	})
	b.poll()
}

// poll polls what is due.
func (b *bed) poll() {
	b.t.Helper()
	if err := b.poller.Round(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) row(st store.Stage) store.StagePoll {
	b.t.Helper()
	rows, err := b.db.StagePolls(b.t.Context(), st.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows[st.ID]
}

func (b *bed) events(kind string) (found []store.Event) {
	b.t.Helper()
	all, _, err := b.db.Events(b.t.Context(), store.EventFilter{}, store.Page{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// want compares all deploys that were asked for until now.
func (b *bed) want(deploys ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.deploys, deploys) {
		b.t.Errorf("deploys were asked for: %q, want %q", b.deploys, deploys)
	}
}

var (
	versions = tagrule.Rule{Kind: tagrule.Semver, Pattern: "^1"}
	latest   = tagrule.Rule{Kind: tagrule.Moving, Pattern: "latest"}
)
