package hosts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

var anna = By{Actor: "user:anna", Addr: "203.0.113.7"}

// bed is a keeper over a real store.
type bed struct {
	*Keeper
	t     *testing.T
	db    *store.DB
	fleet *docker.Fleet
}

func newBed(t *testing.T) *bed {
	t.Helper()
	return bedOn(t, storetest.Open(t))
}

// bedOn is a daemon that starts on a store.
func bedOn(t *testing.T, db *store.DB) *bed {
	t.Helper()
	b := &bed{t: t, db: db, fleet: docker.NewFleet()}
	b.Keeper = New(db, b.fleet, canarytest.Log(t, db, "PRIVATE KEY"))
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bed) inUse(h store.Host) *docker.Engine {
	b.t.Helper()
	e, err := b.fleet.Engine(h.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

func (b *bed) kinds() (kinds []string) {
	b.t.Helper()
	events, _, err := b.db.Events(b.t.Context(), store.EventFilter{}, store.Page{Limit: 100})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		if e.Actor != anna.Actor || e.Data["addr"] != anna.Addr {
			b.t.Errorf("event %+v does not say who and from where", e)
		}
		if e.Kind != "host.tested" {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func TestHostOverItsWholeLife(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	pretend := dockertest.Serve(t, dockertest.Options{})
	s := enginetest.StartSSHD(t)
	sealed, public := enginetest.SSHKey(t, canarytest.Word)
	s.Authorize(public)
	h, err := b.Create(ctx, Facts{Name: "far", Endpoint: s.Endpoint(pretend.Endpoint()), SSHKey: sealed, Passphrase: canarytest.Word, HostKey: s.HostKey}, false, anna)
	if err != nil || h.EngineID == "" || h.EngineVersion == "" {
		t.Fatalf("got %+v, %v", h, err)
	}
	first := b.inUse(h)
	if err := first.Ping(ctx); err != nil {
		t.Fatal(err)
	}

	// A new name does not touch what is in use, and keeps what nobody can read.
	if h, err = b.Update(ctx, h.ID, h.Revision, Change{Name: new("farther")}, false, anna); err != nil || b.inUse(h) != first {
		t.Fatalf("got %+v, %v", h, err)
	}
	// A daemon that starts anew reaches it with what is sealed.
	again := bedOn(t, b.db)
	if err := again.inUse(h).Ping(ctx); err != nil {
		t.Errorf("after a start: %v", err)
	}

	if err := b.Disable(ctx, h.ID, anna); err != nil {
		t.Fatal(err)
	}
	if err := first.Ping(ctx); !errors.Is(err, docker.ErrUnavailable) {
		t.Errorf("the way of a disabled host is still open: %v", err)
	}
	if off := bedOn(t, b.db); len(off.fleet.HostIDs()) != 0 {
		t.Error("a disabled host is in use after a start")
	}
	// It can be tested and changed meanwhile.
	if r, err := b.Test(ctx, h.ID, Change{}, anna); err != nil || !r.OK() {
		t.Errorf("got %+v, %v", r, err)
	}
	now, err := b.db.Host(ctx, h.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(ctx, h.ID, now.Revision, Change{Endpoint: new(pretend.Endpoint())}, false, anna); err != nil || len(b.fleet.HostIDs()) != 0 {
		t.Errorf("got %v, in use %v", err, b.fleet.HostIDs())
	}
	if secrets, err := b.db.HostSecrets(ctx, h.ID); err != nil || secrets != (store.HostSecrets{}) {
		t.Errorf("a key is kept that is not used any more: %v", err)
	}
	for range 2 {
		if err := b.Enable(ctx, h.ID, anna); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.inUse(h).Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := b.Delete(ctx, h.ID, anna); err != nil {
		t.Fatal(err)
	}
	if len(b.fleet.HostIDs()) != 0 {
		t.Error("it is still in use")
	}
	if got := b.kinds(); !slices.Equal(got, []string{"host.added", "host.changed", "host.disabled", "host.changed", "host.enabled", "host.removed"}) {
		t.Errorf("events %v", got)
	}
}

// A host that is reached elsewhere from now on is frozen, unless it was seen to be the same engine that answers there: another one
// knows none of ours.
func TestAnotherEndpointMayBeAnotherEngine(t *testing.T) {
	for name, c := range map[string]struct {
		was, now dockertest.Options
		untested bool
		frozen   bool
	}{
		"the same engine":             {was: dockertest.Docker20(), now: dockertest.Docker20()},
		"the same, but nobody looked": {was: dockertest.Docker20(), now: dockertest.Docker20(), untested: true, frozen: true},
		"another engine":              {was: dockertest.Docker20(), now: dockertest.Options{EngineID: "OTHER"}, frozen: true},
		"engines that do not say":     {was: dockertest.Podman43(), now: dockertest.Podman43(), frozen: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			h, err := b.Create(t.Context(), Facts{Name: "far", Endpoint: dockertest.Serve(t, c.was).Endpoint()}, false, anna)
			if err != nil {
				t.Fatal(err)
			}
			h.LastScanAt = time.Now().UTC()
			storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateHost(ctx, h) })
			change := Change{Endpoint: new(dockertest.Serve(t, c.now).Endpoint())}
			if _, err := b.Update(t.Context(), h.ID, h.Revision, change, c.untested, anna); err != nil {
				t.Fatal(err)
			}
			now, err := b.db.Host(t.Context(), h.ID)
			if err != nil || now.FrozenSince.IsZero() == c.frozen || c.frozen && now.FrozenReason != store.FrozenEngineChanged {
				t.Errorf("frozen since %s (%s), want it frozen: %v; %v", now.FrozenSince, now.FrozenReason, c.frozen, err)
			}
		})
	}
}

// TestNothingIsDoneByHalves: what is refused leaves store, fleet and events as they were.
func TestNothingIsDoneByHalves(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	pretend := dockertest.Serve(t, dockertest.Options{})
	h, err := b.Create(ctx, Facts{Name: "near", Endpoint: pretend.Endpoint()}, false, anna)
	if err != nil {
		t.Fatal(err)
	}
	local := storetest.Host(t, b.db, func(h *store.Host) { h.Name = store.LocalHost })
	st := storetest.Stage(t, b.db, h, storetest.Project(t, b.db))
	storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertDeploy(ctx, store.Deploy{ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: h.ID, InstanceID: "i", State: store.DeployPulling, CreatedAt: time.Now()})
	})
	before, events := b.inUse(h), b.kinds()
	other := dockertest.Serve(t, dockertest.Options{})
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"create: taken name":     {second(b.Create(ctx, Facts{Name: "near", Endpoint: pretend.Endpoint()}, false, anna)), store.ErrConflict},
		"create: nobody there":   {second(b.Create(ctx, Facts{Name: "x", Endpoint: "unix:///none"}, false, anna)), ErrUnusable},
		"create: plain":          {second(b.Create(ctx, Facts{Name: "x", Endpoint: "tcp://127.0.0.1:1"}, true, anna)), store.FieldError{Field: "plain", Reason: "tcp:// without TLS is open to whoever is on the way: give certificates, or allow it for this host"}},
		"update: taken name":     {second(b.Update(ctx, h.ID, 1, Change{Name: new(store.LocalHost)}, false, anna)), store.ErrConflict},
		"update: old revision":   {second(b.Update(ctx, h.ID, 9, Change{Name: new("x")}, false, anna)), store.ErrConflict},
		"update: under way":      {second(b.Update(ctx, h.ID, 1, Change{Endpoint: new(other.Endpoint())}, false, anna)), ErrBusy},
		"update: the flag's own": {second(b.Update(ctx, local.ID, 0, Change{Name: new("x")}, false, anna)), ErrManaged},
		"disable: under way":     {b.Disable(ctx, h.ID, anna), ErrBusy},
		"disable: none":          {b.Disable(ctx, "none", anna), store.ErrNotFound},
		"enable: none":           {b.Enable(ctx, "none", anna), store.ErrNotFound},
		"delete: in use":         {b.Delete(ctx, h.ID, anna), ErrInUse},
		"delete: the flag's own": {b.Delete(ctx, local.ID, anna), ErrManaged},
		"delete: none":           {b.Delete(ctx, "none", anna), store.ErrNotFound},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	now, err := b.db.Host(ctx, h.ID)
	if err != nil || now.Revision != 1 || now.Name != "near" || now.Endpoint != pretend.Endpoint() || !now.DisabledSince.IsZero() || b.inUse(h) != before {
		t.Errorf("got %+v, %v", now, err)
	}
	if got := b.kinds(); !slices.Equal(got, events) {
		t.Errorf("events %v", got)
	}
	if ids := b.fleet.HostIDs(); !slices.Equal(ids, []string{h.ID}) {
		t.Errorf("in use: %v", ids)
	}
}

func second(_ store.Host, err error) error { return err }

// TestOneBadHostKeepsNobodyFromStarting: a row that no engine can be made of.
func TestOneBadHostKeepsNobodyFromStarting(t *testing.T) {
	db := storetest.Open(t)
	pretend := dockertest.Serve(t, dockertest.Options{})
	storetest.Host(t, db, func(h *store.Host) { h.Name, h.Endpoint = "broken", "ssh://u@x" })
	good := storetest.Host(t, db, func(h *store.Host) { h.Name, h.Endpoint = "good", pretend.Endpoint() })
	b := bedOn(t, db)
	if ids := b.fleet.HostIDs(); !slices.Equal(ids, []string{good.ID}) {
		t.Errorf("in use: %v", ids)
	}
}

// TestHangingTestEnds when who asked for it leaves, and leaves nothing behind.
func TestHangingTestEnds(t *testing.T) {
	b := newBed(t)
	pretend := dockertest.Serve(t, dockertest.Options{})
	pretend.Fail(dockertest.Fault{On: ".", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := b.Try(ctx, Facts{Endpoint: pretend.Endpoint()}, anna); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := b.kinds(); len(got) > 0 {
		t.Errorf("events %v", got)
	}
	pretend.ClearFaults()
	r, err := b.Try(t.Context(), Facts{Endpoint: pretend.Endpoint()}, anna)
	if err != nil || !r.OK() || r.Latency <= 0 || strings.Contains(r.Hint, "engine") {
		t.Errorf("got %+v, %v", r, err)
	}
}

// unfinished leaves a removal under way on a host, as a daemon does that was killed.
func (b *bed) unfinished(h store.Host) {
	b.t.Helper()
	st := storetest.Stage(b.t, b.db, h, storetest.Project(b.t, b.db))
	i := storetest.Instance(b.t, b.db, st, func(i *store.Instance) { i.Status = store.StatusStopped })
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		return tx.BeginRemoval(ctx, store.Removal{
			InstanceID: i.ID, HostID: h.ID, EngineID: h.EngineID, DataRoot: h.DataRoot, ContainerID: i.ContainerID, Former: i.Status, Step: store.RemovalDeleting,
		}, i.Revision)
	})
}

// TestHostThatIsAwayCanBeCorrected although a removal on it never came to its end; while its engine answers, it cannot, and where
// another engine answers from then on nothing is touched.
func TestHostThatIsAwayCanBeCorrected(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(e *dockertest.Engine)
		now    dockertest.Options
		refuse bool
		frozen bool
	}{
		"it answers":               {spoil: func(*dockertest.Engine) {}, now: dockertest.Docker20(), refuse: true},
		"dead, the same elsewhere": {spoil: (*dockertest.Engine).Shutdown, now: dockertest.Docker20()},
		"it hangs":                 {spoil: func(e *dockertest.Engine) { e.Fail(dockertest.Fault{On: ".", Hang: true}) }, now: dockertest.Docker20()},
		"another has its address":  {spoil: func(e *dockertest.Engine) { e.SetEngineID("OTHER") }, now: dockertest.Docker20()},
		"dead, another elsewhere":  {spoil: (*dockertest.Engine).Shutdown, now: dockertest.Options{EngineID: "OTHER"}, frozen: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			ctx := t.Context()
			was := dockertest.Serve(t, dockertest.Docker20())
			h, err := b.Create(ctx, Facts{Name: "far", Endpoint: was.Endpoint()}, false, anna)
			if err != nil {
				t.Fatal(err)
			}
			b.unfinished(h)
			c.spoil(was)
			former := b.inUse(h)
			change := Change{Endpoint: new(dockertest.Serve(t, c.now).Endpoint())}
			_, err = b.Update(ctx, h.ID, h.Revision, change, false, anna)
			if errors.Is(err, ErrBusy) != c.refuse || err != nil && !c.refuse || (b.inUse(h) == former) != c.refuse {
				t.Fatalf("got %v, the former way is in use: %v", err, b.inUse(h) == former)
			}
			now, err := b.db.Host(ctx, h.ID)
			if err != nil || now.FrozenSince.IsZero() == c.frozen {
				t.Errorf("frozen since %s, %v", now.FrozenSince, err)
			}
			left, err := b.db.Removals(ctx)
			if err != nil || len(left) != 1 || left[0].EngineID != h.EngineID || left[0].DataRoot != h.DataRoot {
				t.Errorf("left: %+v, %v", left, err)
			}
			if err := b.Delete(ctx, h.ID, anna); !errors.Is(err, ErrInUse) {
				t.Errorf("remove: %v", err)
			}
		})
	}
}

func TestDeadHostCanBeTakenOutOfUse(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	was := dockertest.Serve(t, dockertest.Docker20())
	h, err := b.Create(ctx, Facts{Name: "far", Endpoint: was.Endpoint()}, false, anna)
	if err != nil {
		t.Fatal(err)
	}
	b.unfinished(h)
	if err := b.Disable(ctx, h.ID, anna); !errors.Is(err, ErrBusy) || len(b.fleet.HostIDs()) != 1 {
		t.Errorf("while it answers: %v", err)
	}
	was.Shutdown()
	if err := b.Disable(ctx, h.ID, anna); err != nil || len(b.fleet.HostIDs()) != 0 {
		t.Errorf("got %v, in use %v", err, b.fleet.HostIDs())
	}
	events, _, err := b.db.Events(ctx, store.EventFilter{Text: "was disabled"}, store.Page{Limit: 2})
	if err != nil || len(events) != 1 || events[0].Data["left"] != "1 unfinished job" || !strings.Contains(events[0].Message, "will be ended when it does") {
		t.Errorf("events %+v, %v", events, err)
	}
	// It cannot be acted on, so that nobody is kept from writing down where it is now.
	if _, err := b.Update(ctx, h.ID, 2, Change{Endpoint: new(dockertest.Serve(t, dockertest.Docker20()).Endpoint())}, false, anna); err != nil {
		t.Error(err)
	}
	if left, err := b.db.Removals(ctx); err != nil || len(left) != 1 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// TestHostThatCannotBeReachedIsNotEnabled: whether an engine can be made of what is written down is seen before anything is written.
func TestHostThatCannotBeReachedIsNotEnabled(t *testing.T) {
	db := storetest.Open(t)
	broken := storetest.Host(t, db, func(h *store.Host) {
		h.Name, h.Endpoint, h.DisabledSince = "broken", "ssh://u@x", time.Now().UTC()
	})
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetHostDisabled(ctx, broken.ID, time.Now()) })
	b := bedOn(t, db)
	if err := b.Enable(t.Context(), broken.ID, anna); err == nil {
		t.Error("it was enabled")
	}
	now, err := db.Host(t.Context(), broken.ID)
	if err != nil || now.DisabledSince.IsZero() || len(b.fleet.HostIDs()) != 0 || len(b.kinds()) != 0 {
		t.Errorf("got %+v, %v; in use %v; events %v", now, err, b.fleet.HostIDs(), b.kinds())
	}
}
