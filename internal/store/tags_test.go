package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestSnooze(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db, full)
		snooze := func(id string, until time.Time, revision int64) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SetSnooze(ctx, id, until, "user:carl", "why", revision)
			})
		}
		later := noon.Add(time.Hour)
		wantErr(t, snooze(i.ID, later, i.Revision+1), store.ErrConflict)
		wantErr(t, snooze("nobody", later, 0), store.ErrNotFound)
		want := view(t, db, i.ID).Instance
		if err := snooze(i.ID, later, i.Revision); err != nil {
			t.Fatal(err)
		}
		want.SnoozedUntil, want.SnoozedBy, want.SnoozeReason, want.WarnedAt, want.Revision = later, "user:carl", "why", time.Time{}, want.Revision+1
		same := func() {
			t.Helper()
			got := view(t, db, i.ID).Instance
			want.UpdatedAt = got.UpdatedAt
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("instance (-want +got):\n%s", diff)
			}
		}
		same()
		wantErr(t, snooze(i.ID, time.Time{}, i.Revision), store.ErrConflict)
		if err := snooze(i.ID, time.Time{}, want.Revision); err != nil {
			t.Fatal(err)
		}
		want.SnoozedUntil, want.SnoozedBy, want.SnoozeReason, want.Revision = time.Time{}, "", "", want.Revision+1
		same() // the pin beside it is as it was
	})
}

func TestTagsAreChecked(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, alive := storetest.Shop(t, db)
		stale := func(tag string, checked time.Time) store.Instance {
			return storetest.Instance(t, db, s, func(i *store.Instance) {
				i.Status, i.StaleSince, i.ImageTag, i.TagCheckedAt = store.StatusStopped, noon, tag, checked
			})
		}
		a, b := stale("1.0", time.Time{}), stale("1.0", noon)
		other := stale("2.0", noon.Add(-time.Hour))
		stale("3.0", noon) // not older than asked for
		nameless := storetest.Instance(t, db, s, func(i *store.Instance) {
			i.Status, i.StaleSince, i.Image = store.StatusStopped, noon, ""
		})
		toCheck := func(before time.Time, n int, want ...string) {
			t.Helper()
			tags, err := db.TagsToCheck(ctx, before, before.Add(time.Hour), n)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, tag := range tags {
				if tag[0] != a.Image {
					t.Errorf("image is %q", tag[0])
				}
				got = append(got, tag[1])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("to check (-want +got):\n%s", diff)
			}
		}
		toCheck(noon, 10, "1.0", "2.0") // one of those with 1.0 was never checked
		toCheck(noon, 1, "1.0")
		toCheck(noon.Add(time.Second), 10, "1.0", "2.0", "3.0")

		check := func(at, gone time.Time) {
			t.Helper()
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetTagChecked(ctx, a.Image, "1.0", at, gone) })
		}
		revisions := map[string]int64{}
		is := func(raised bool, checked, gone time.Time) {
			t.Helper()
			for _, id := range []string{a.ID, b.ID} {
				v := view(t, db, id)
				if !v.TagCheckedAt.Equal(checked) || !v.TagGoneSince.Equal(gone) || (v.Revision > revisions[id]) != raised {
					t.Errorf("checked %s, gone since %s, revision %d after %d", v.TagCheckedAt, v.TagGoneSince, v.Revision, revisions[id])
				}
				revisions[id] = v.Revision
			}
			for _, i := range []store.Instance{other, alive, nameless} {
				if v := view(t, db, i.ID); !v.TagGoneSince.IsZero() || !v.TagCheckedAt.Equal(i.TagCheckedAt) || v.Revision != 0 {
					t.Errorf("another one was touched: %+v", v)
				}
			}
		}
		check(noon, time.Time{})
		is(false, noon, time.Time{})
		first := noon.Add(time.Minute)
		check(first, first)
		is(true, first, first)
		again := noon.Add(2 * time.Minute)
		check(again, again)
		is(false, again, first) // the first moment stays
		check(again, time.Time{})
		is(true, again, time.Time{})
		toCheck(noon.Add(time.Second), 10, "2.0", "3.0")
	})
}
