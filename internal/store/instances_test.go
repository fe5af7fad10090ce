package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// noon is a moment that all of these tests happen around; whole milliseconds, as kept.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

func view(t *testing.T, db *store.DB, id string) store.InstanceView {
	t.Helper()
	v, err := db.Instance(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// full has something in every field, so that a forgotten or swapped column shows.
func full(i *store.Instance) {
	i.Digest, i.EngineError = "sha256:d", "no such file"
	i.Spec = store.Spec{
		Env:    []store.EnvVar{{Name: "PASSWORD", Value: "swordfish"}, {Name: "EMPTY", Value: ""}},
		Ports:  []store.Port{{Container: 80, Host: 8080, HostIP: "127.0.0.1", Protocol: "tcp"}},
		Mounts: []store.Mount{{Source: "data", Target: "/data", ReadOnly: true}}, Restart: "always", Command: []string{"serve"},
		Labels: map[string]string{"a": "b"}, StopGrace: 10 * time.Second, Health: store.Health{Kind: store.HealthTCP, Port: 80},
	}
	i.Status, i.Intended, i.Class, i.Evidence = store.StatusStopped, store.IntendedRunning, store.ClassFailed, store.EvidenceFinishedAt
	i.ContainerCreatedAt, i.StartedAt, i.FinishedAt = noon.Add(1*time.Second), noon.Add(2*time.Second), noon.Add(3*time.Second)
	i.ExitCode, i.RestartCount, i.OOMKilled, i.PolicyRun, i.UpperBound = 137, 4, true, true, true
	i.LastAliveAt, i.FirstSeenStoppedAt, i.StaleSince = noon.Add(4*time.Second), noon.Add(5*time.Second), noon.Add(6*time.Second)
	i.WarnedAt, i.CheckedAt, i.CheckError, i.HeldBack = noon.Add(7*time.Second), noon.Add(8*time.Second), "timed out", "mass change"
	i.PinnedAt, i.PinnedBy, i.PinReason = noon.Add(9*time.Second), "user:anna", "demo"
	i.SnoozedUntil, i.SnoozedBy, i.SnoozeReason = noon.Add(10*time.Second), "user:bert", "later"
	i.TagCheckedAt, i.TagGoneSince = noon.Add(12*time.Second), noon.Add(13*time.Second)
	i.KeepLabel, i.RollbackKept, i.SizeRw, i.SizeAt = true, true, 1<<40, noon.Add(11*time.Second)
	i.CreatedAt, i.Revision = noon, 3
}

func TestInstanceKeepsEveryField(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, want := storetest.Shop(t, db, full)
		got := view(t, db, want.ID)
		spec, err := db.InstanceSpec(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Spec, spec); diff != "" {
			t.Errorf("spec (-want +got):\n%s", diff)
		}
		if got.UpdatedAt.IsZero() || got.StaleAfter.String() != "7d" || got.Stage != s.Name || got.StageKind != s.Kind {
			t.Errorf("view is %+v", got)
		}
		want.Spec, want.UpdatedAt = store.Spec{}, got.UpdatedAt
		if diff := cmp.Diff(want, got.Instance); diff != "" {
			t.Errorf("instance (-want +got):\n%s", diff)
		}
		byContainer, err := db.InstanceByContainer(t.Context(), want.HostID, want.ContainerID)
		if err != nil || byContainer.ID != want.ID {
			t.Errorf("by container: %v, %v", byContainer.ID, err)
		}
		_, err = db.InstanceByContainer(t.Context(), want.HostID, "")
		wantErr(t, err, store.ErrNotFound)
		_, err = db.Instance(t.Context(), "nobody")
		wantErr(t, err, store.ErrNotFound)
	})
}

func TestRecordInstanceWritesEveryFactButNoProtection(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db)
		prev := view(t, db, i.ID).Instance
		next := prev
		full(&next)
		next.CreatedAt, next.Revision = prev.CreatedAt, prev.Revision
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.RecordInstance(ctx, prev, &next, noon.Add(time.Minute))
		})
		if next.Revision != prev.Revision+1 {
			t.Errorf("revision is %d", next.Revision)
		}
		got := view(t, db, i.ID).Instance
		want := next
		want.PinnedAt, want.PinnedBy, want.PinReason = time.Time{}, "", ""
		want.SnoozedUntil, want.SnoozedBy, want.SnoozeReason = time.Time{}, "", ""
		want.TagCheckedAt, want.TagGoneSince = time.Time{}, time.Time{}
		want.RollbackKept, want.SizeRw, want.SizeAt = false, 0, time.Time{}
		want.Spec, want.UpdatedAt = store.Spec{}, got.UpdatedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("instance (-want +got):\n%s", diff)
		}
		if spec, err := db.InstanceSpec(t.Context(), i.ID); err != nil || len(spec.Env) != 0 {
			t.Errorf("the spec was touched: %+v, %v", spec, err)
		}
	})
}

func TestRecordInstanceComparesAndSets(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db)
		prev := view(t, db, i.ID).Instance
		for _, c := range []struct {
			name string
			edit func(prev, next *store.Instance)
			want error
		}{
			{"an older revision", func(p, _ *store.Instance) { p.Revision-- }, store.ErrConflict},
			{"another status", func(p, n *store.Instance) { p.Status, n.Status = store.StatusStopped, store.StatusStopped }, store.ErrConflict},
			{"a move that is not in the table", func(_, n *store.Instance) { n.Status = store.StatusPending }, store.ErrBadTransition},
			{"into removing, past the intention row", func(_, n *store.Instance) { n.Status = store.StatusRemoving }, store.ErrBadTransition},
			{"a status nobody knows", func(_, n *store.Instance) { n.Status = "sleeping" }, store.ErrBadTransition},
			{"an instance nobody knows", func(p, _ *store.Instance) { p.ID = "nobody" }, store.ErrNotFound},
		} {
			t.Run(c.name, func(t *testing.T) {
				p, n := prev, prev
				n.ImageTag = "changed"
				c.edit(&p, &n)
				err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.RecordInstance(t.Context(), p, &n, noon) })
				wantErr(t, err, c.want)
				if got := view(t, db, i.ID); got.ImageTag == "changed" || got.Revision != prev.Revision {
					t.Errorf("something was written: %+v", got)
				}
			})
		}
	})
}

func TestLastAliveOnlyMovesForward(t *testing.T) {
	const tolerance = 60 * time.Second
	moment := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name           string
		stored, at     time.Time
		want           time.Time
		becomesFinding bool // the evidence becomes that of the new value
	}{
		{"newer", moment(-100), moment(-50), moment(-50), true},
		{"older", moment(-50), moment(-100), moment(-50), false},
		{"the same", moment(-50), moment(-50), moment(-50), true},
		{"first", time.Time{}, moment(-50), moment(-50), true},
		{"a little ahead", moment(-50), noon.Add(tolerance), noon.Add(tolerance), true},
		{"too far ahead", moment(-50), noon.Add(tolerance + time.Millisecond), moment(-50), false},
		{"too far ahead, as the first", time.Time{}, noon.Add(tolerance + time.Millisecond), time.Time{}, false},
		{"the stored one is ahead, but not too far", noon.Add(tolerance), moment(-50), noon.Add(tolerance), false},
		{"the stored one is invalid", noon.Add(tolerance + time.Millisecond), moment(-50), moment(-50), true},
		{"both are invalid", moment(1000), moment(2000), moment(1000), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			storetest.Both(t, func(t *testing.T, db *store.DB) {
				stored := func(i *store.Instance) {
					i.LastAliveAt, i.Evidence, i.UpperBound, i.Status = c.stored, store.EvidenceFirstSeenStopped, true, store.StatusStopped
				}
				s, recorded := storetest.Shop(t, db, stored)
				moved := storetest.Instance(t, db, s, stored)
				prev := view(t, db, recorded.ID).Instance
				next := prev
				next.LastAliveAt, next.Evidence, next.UpperBound = c.at, store.EvidenceObserved, false
				storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
					return errors.Join(tx.RecordInstance(ctx, prev, &next, noon), tx.UpdateLastAliveAt(ctx, moved.ID, c.at, noon))
				})
				for _, id := range []string{recorded.ID, moved.ID} {
					got := view(t, db, id)
					if !got.LastAliveAt.Equal(c.want) || (got.Evidence == store.EvidenceObserved) != c.becomesFinding || got.UpperBound == c.becomesFinding {
						t.Errorf("last alive is %v (%s, upper bound %v), want %v", got.LastAliveAt, got.Evidence, got.UpperBound, c.want)
					}
				}
				if !next.LastAliveAt.Equal(c.want) {
					t.Errorf("next says %v", next.LastAliveAt)
				}
			})
		})
	}
}

// TestLastAliveIsMonotone throws any sequence of writes at an instance: while the
// stored moment is valid, nothing moves it backwards.
func TestLastAliveIsMonotone(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, _ := storetest.Shop(t, db)
		rapid.Check(t, func(r *rapid.T) {
			i := storetest.NewInstance(s)
			ctx := t.Context()
			err := db.Update(ctx, func(tx *store.Tx) error {
				if err := tx.InsertInstance(ctx, i); err != nil {
					return err
				}
				var want time.Time
				for range rapid.IntRange(1, 12).Draw(r, "writes") {
					now := noon.Add(time.Duration(rapid.IntRange(-300, 300).Draw(r, "now")) * time.Second)
					at := noon.Add(time.Duration(rapid.IntRange(-600, 600).Draw(r, "at")) * time.Second)
					latest := now.Add(time.Minute)
					v, err := tx.Instance(ctx, i.ID)
					if err != nil {
						return err
					}
					switch rapid.IntRange(0, 2).Draw(r, "by") {
					case 0:
						next := v.Instance
						next.LastAliveAt = at
						next.Status = rapid.SampledFrom([]store.Status{store.StatusRunning, store.StatusStopped}).Draw(r, "status")
						err = tx.RecordInstance(ctx, v.Instance, &next, now)
					case 1:
						err = tx.UpdateLastAliveAt(ctx, i.ID, at, now)
					case 2: // the engine's now is the moment itself
						at, latest = now, now.Add(time.Minute)
						if v.Status != store.StatusRunning {
							at = v.LastAliveAt // only running ones are touched
							latest = at.Add(time.Hour)
						}
						err = tx.TouchRunning(ctx, s.HostID, now, nil)
					}
					if err != nil {
						return err
					}
					switch {
					case at.IsZero() || at.After(latest): // no evidence
					case want.IsZero() || want.After(latest) || at.After(want):
						want = at
					}
					if v, err = tx.Instance(ctx, i.ID); err != nil {
						return err
					}
					if !v.LastAliveAt.Equal(want) {
						return fmt.Errorf("last alive is %v, want %v", v.LastAliveAt, want)
					}
				}
				return errRollback
			})
			if !errors.Is(err, errRollback) {
				r.Fatal(err)
			}
		})
	})
}

var errRollback = errors.New("roll it back")

func TestUpdateLastAliveTellsWhoJudgedBefore(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, running := storetest.Shop(t, db)
		stopped := storetest.Instance(t, db, s, func(i *store.Instance) { i.Status = store.StatusStopped })
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.UpdateLastAliveAt(ctx, running.ID, noon, noon), tx.UpdateLastAliveAt(ctx, stopped.ID, noon, noon))
		})
		if got := view(t, db, running.ID).Revision; got != 0 {
			t.Errorf("the revision of a running one rose to %d", got)
		}
		if got := view(t, db, stopped.ID).Revision; got != 1 {
			t.Errorf("the revision of a stopped one is %d, want 1", got)
		}
		err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.UpdateLastAliveAt(t.Context(), "nobody", noon, noon) })
		wantErr(t, err, store.ErrNotFound)
		err = db.Update(t.Context(), func(tx *store.Tx) error {
			return tx.UpdateLastAliveAt(t.Context(), running.ID, time.Time{}, noon)
		})
		if err == nil || !view(t, db, running.ID).LastAliveAt.Equal(noon) {
			t.Errorf("a zero time was taken: %v", err)
		}
	})
}

func TestTouchRunning(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h := storetest.Host(t, db)
		p := storetest.Project(t, db)
		s := storetest.Stage(t, db, h, p)
		elsewhere := storetest.Stage(t, db, storetest.Host(t, db), p)
		old := func(i *store.Instance) {
			i.LastAliveAt, i.Evidence, i.UpperBound = noon.Add(-time.Hour), store.EvidenceFinishedAt, true
		}
		touched := storetest.Instance(t, db, s, old)
		first := storetest.Instance(t, db, s)
		beyond := storetest.Instance(t, db, s, func(i *store.Instance) { i.LastAliveAt = noon.Add(time.Hour) })
		newer := storetest.Instance(t, db, s, func(i *store.Instance) { i.LastAliveAt = noon.Add(time.Second) })
		left := []store.Instance{
			storetest.Instance(t, db, s, old),
			storetest.Instance(t, db, s, old, func(i *store.Instance) { i.Status = store.StatusStopped }),
			storetest.Instance(t, db, s, old, func(i *store.Instance) { i.Status = store.StatusPaused }),
			storetest.Instance(t, db, elsewhere, old),
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.TouchRunning(ctx, h.ID, noon, []string{left[0].ID, "nobody"})
		})
		for _, i := range []store.Instance{touched, first, beyond} {
			got := view(t, db, i.ID)
			if !got.LastAliveAt.Equal(noon) || got.Evidence != store.EvidenceObserved || got.UpperBound || got.Revision != 0 {
				t.Errorf("touched: %v %s %v, revision %d", got.LastAliveAt, got.Evidence, got.UpperBound, got.Revision)
			}
		}
		if got := view(t, db, newer.ID).LastAliveAt; !got.Equal(noon.Add(time.Second)) {
			t.Errorf("moved backwards to %v", got)
		}
		for _, i := range left {
			if got := view(t, db, i.ID); !got.LastAliveAt.Equal(noon.Add(-time.Hour)) || got.Evidence != store.EvidenceFinishedAt {
				t.Errorf("must not be touched: %+v", got)
			}
		}
		err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.TouchRunning(t.Context(), h.ID, time.Time{}, nil) })
		if err == nil {
			t.Error("a zero time was taken")
		}
	})
}

func TestTouchRunningLeavesManyOut(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, i := storetest.Shop(t, db)
		except := []string{i.ID}
		for range 70_000 { // more than either dialect has placeholders for
			except = append(except, store.NewID())
		}
		other := storetest.Instance(t, db, s)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.TouchRunning(ctx, s.HostID, noon, except)
		})
		if !view(t, db, i.ID).LastAliveAt.IsZero() || !view(t, db, other.ID).LastAliveAt.Equal(noon) {
			t.Error("the wrong ones were touched")
		}
	})
}

func TestInstanceProtectionIntentionAndSize(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, i := storetest.Shop(t, db)
		ctx := t.Context()
		pinned := view(t, db, i.ID).Instance
		pinned.PinnedAt, pinned.PinnedBy, pinned.PinReason = noon, "user:anna", "demo"
		pinned.SnoozedUntil, pinned.SnoozedBy, pinned.SnoozeReason = noon.Add(time.Hour), "user:bert", "later"
		pinned.Status = store.StatusDead // must not be written
		protect := func() error {
			return db.Update(ctx, func(tx *store.Tx) error { return tx.SetProtection(ctx, pinned) })
		}
		if err := protect(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, protect(), store.ErrConflict)
		got := view(t, db, i.ID)
		if got.Protection(noon) != (store.Protection{Kind: store.ProtectionPinned, By: "user:anna", Why: "demo"}) ||
			got.SnoozeReason != "later" || got.Status != store.StatusRunning || got.Revision != 1 {
			t.Errorf("after protecting: %+v", got)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SetIntended(ctx, i.ID, store.IntendedStopped), tx.SetSize(ctx, i.ID, 42, noon))
		})
		got = view(t, db, i.ID)
		if got.Intended != store.IntendedStopped || got.SizeRw != 42 || !got.SizeAt.Equal(noon) || got.Revision != 2 {
			t.Errorf("after intention and size: %+v", got)
		}
		err := db.Update(ctx, func(tx *store.Tx) error { return tx.SetIntended(ctx, "nobody", store.IntendedStopped) })
		wantErr(t, err, store.ErrNotFound)
		err = db.Update(ctx, func(tx *store.Tx) error { return tx.SetSize(ctx, "nobody", 1, noon) })
		wantErr(t, err, store.ErrNotFound)

		a, b := storetest.Instance(t, db, s), storetest.Instance(t, db, s)
		for _, keep := range [][]string{{a.ID, b.ID}, {b.ID}, {}} {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetRollbackKept(ctx, s.ID, keep) })
			kept := map[string]bool{}
			for _, id := range keep {
				kept[id] = true
			}
			for _, id := range []string{i.ID, a.ID, b.ID} {
				if got := view(t, db, id).RollbackKept; got != kept[id] {
					t.Errorf("keep %v: kept is %v for %s", keep, got, id)
				}
			}
		}
		if got := view(t, db, b.ID).Revision; got != 2 {
			t.Errorf("revision is %d: only a change may raise it", got)
		}
	})
}

func TestInstancesPagesAndFilters(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h, p := storetest.Host(t, db), storetest.Project(t, db)
		s := storetest.Stage(t, db, h, p)
		var want []string
		for n := range 25 {
			i := storetest.Instance(t, db, s, func(i *store.Instance) {
				i.ImageTag = fmt.Sprintf("Rel_%d%%", n)
				if n%5 == 0 {
					i.Status = store.StatusStopped
				}
			})
			want = append([]string{i.ID}, want...)
		}
		other := storetest.Instance(t, db, storetest.Stage(t, db, storetest.Host(t, db), storetest.Project(t, db)))
		pages := func(f store.InstanceFilter, limit int) (ids []string) {
			t.Helper()
			for cursor := ""; ; {
				items, next, err := db.Instances(ctx, f, store.Page{Limit: limit, Cursor: cursor})
				if err != nil || len(items) > limit {
					t.Fatalf("%d items, %v", len(items), err)
				}
				for _, i := range items {
					ids = append(ids, i.ID)
				}
				if cursor = next; next == "" {
					return ids
				}
			}
		}
		for _, limit := range []int{1, 5, 7, 24, 25, 26} {
			if diff := cmp.Diff(want, pages(store.InstanceFilter{ProjectID: p.ID}, limit)); diff != "" {
				t.Errorf("limit %d (-want +got):\n%s", limit, diff)
			}
		}
		for _, c := range []struct {
			name string
			f    store.InstanceFilter
			want int
		}{
			{"all", store.InstanceFilter{}, 26},
			{"stage", store.InstanceFilter{StageID: s.ID}, 25},
			{"host", store.InstanceFilter{HostID: other.HostID}, 1},
			{"status", store.InstanceFilter{Statuses: []store.Status{store.StatusStopped, store.StatusDead}}, 5},
			{"text in the tag, in another case", store.InstanceFilter{Text: "rEL_24"}, 1},
			{"a percent sign is no wildcard", store.InstanceFilter{Text: "Rel%"}, 0},
			{"an underscore is no wildcard", store.InstanceFilter{Text: "R_l_"}, 0},
			{"a backslash is only itself", store.InstanceFilter{Text: `\`}, 0},
			{"text in the container id", store.InstanceFilter{Text: other.ContainerID}, 1},
			{"text in the image", store.InstanceFilter{Text: "example/SHOP"}, 26},
			{"nothing matches both", store.InstanceFilter{StageID: s.ID, HostID: other.HostID}, 0},
			{"odd bytes", store.InstanceFilter{Text: "\x00\xff'\"$1"}, 0},
		} {
			if got := len(pages(c.f, 10)); got != c.want {
				t.Errorf("%s: %d instances, want %d", c.name, got, c.want)
			}
		}
		ofHost, err := db.InstancesOfHost(ctx, h.ID)
		if err != nil || len(ofHost) != 25 {
			t.Errorf("of the host: %d, %v", len(ofHost), err)
		}
		_, _, err = db.Instances(ctx, store.InstanceFilter{}, store.Page{Cursor: "nonsense"})
		wantErr(t, err, store.ErrBadCursor)
	})
}

func TestContainerBelongsToOneInstance(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, i := storetest.Shop(t, db)
		twin := storetest.NewInstance(s, func(n *store.Instance) { n.ContainerID = i.ContainerID })
		err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertInstance(t.Context(), twin) })
		wantErr(t, err, store.ErrConflict)
		empty := func(i *store.Instance) { i.ContainerID = "" }
		storetest.Instance(t, db, s, empty)
		storetest.Instance(t, db, s, empty) // not created yet: no clash
	})
}
