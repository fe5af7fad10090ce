package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// anArchive has something in every field that is kept while it is made.
func anArchive(i store.Instance) (store.Archive, store.ArchiveContents) {
	a := store.Archive{
		ID: store.NewID(), State: store.ArchiveMaking, InstanceID: i.ID, PlanID: "plan", HostID: i.HostID, ProjectID: i.ProjectID,
		StageID: i.StageID, Project: "shop", Stage: "dev", Name: i.Name, Image: i.Image, ImageTag: i.ImageTag, ImageID: i.ImageID,
		Digest: "sha256:d", KeepRef: "localhost/keep:1", LayerImage: "localhost/keep:1-layer", LayerNote: "too large", Bytes: 1 << 40,
		Class: store.ClassFailed, LastAliveAt: noon, Reason: "not alive for 8 days",
		Volumes:  []store.ArchivedVolume{{Name: "data", Target: "/data"}, {Name: "f00", Target: "/tmp", Anonymous: true}},
		Networks: []string{"bridge", "back"},
		Routes: []store.ArchivedRoute{{
			ID: store.NewID(), Port: 80, TLS: "auto", Options: "{}", Enabled: true,
			Domains: []store.RouteAddress{{Domain: "shop.example", PathPrefix: "/"}, {Domain: "shop.example", PathPrefix: "/api"}},
		}},
		Actor: "user:anna",
	}
	full(&i)
	return a, store.ArchiveContents{Inspect: []byte(`{"Id":"c"}`), Instance: i, Logs: []byte("last words\x00\xff")}
}

func keep(t *testing.T, db *store.DB, a store.Archive, c store.ArchiveContents) {
	t.Helper()
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertArchive(ctx, a, c) })
}

func sameArchive(t *testing.T, db *store.DB, want store.Archive, contents store.ArchiveContents) {
	t.Helper()
	got, err := db.Archive(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
	kept, err := db.ArchiveContents(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents, kept); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}

func TestArchiveKeepsEverything(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db)
		a, c := anArchive(i)
		keep(t, db, a, c)
		sameArchive(t, db, a, c)

		a.ImageID, a.KeepRef, a.LayerImage, a.LayerNote, a.Bytes = "sha256:e", "", "", "", 7
		a.Volumes, a.Networks, a.Routes, a.Reason, a.Class = nil, nil, nil, "another", store.ClassOOM
		c.Logs = nil
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetArchive(ctx, a, &c) })
		sameArchive(t, db, a, c)

		changed := a
		changed.Bytes, changed.State, changed.RemovedAt, changed.RestoredBy = 8, store.ArchiveReady, noon, "user:bert"
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetArchive(ctx, changed, nil) })
		a.Bytes = 8 // and nothing else: the rest moves by compare-and-set only
		sameArchive(t, db, a, c)

		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetArchive(ctx, store.Archive{ID: "nobody"}, nil)
		}), store.ErrNotFound)
		_, err := db.Archive(t.Context(), "nobody")
		wantErr(t, err, store.ErrNotFound)
		_, err = db.ArchiveContents(t.Context(), "nobody")
		wantErr(t, err, store.ErrNotFound)
	})
}

func TestArchiveMoves(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db)
		a, c := anArchive(i)
		keep(t, db, a, c)
		later := noon.Add(14 * 24 * time.Hour)
		finish := func(ctx context.Context, tx *store.Tx) error { return tx.FinishArchive(ctx, a.ID, noon, later) }
		begin := func(ctx context.Context, tx *store.Tx) error { return tx.BeginRestore(ctx, a.ID, `{"start":true}`) }
		restored := func(ctx context.Context, tx *store.Tx) error {
			return tx.MarkRestored(ctx, a.ID, "user:bert", noon.Add(time.Hour))
		}
		giveUp := func(ctx context.Context, tx *store.Tx) error {
			return tx.MoveArchive(ctx, a.ID, store.ArchiveRestoring, store.ArchiveReady)
		}
		remove := func(ctx context.Context, tx *store.Tx) error {
			return tx.MoveArchive(ctx, a.ID, store.ArchiveReady, store.ArchiveDeleting)
		}
		refused := func(steps ...func(context.Context, *store.Tx) error) {
			t.Helper()
			for _, step := range steps {
				wantErr(t, try(t, db, step), store.ErrConflict)
			}
		}
		refused(begin, restored, giveUp, remove)
		storetest.Update(t, db, finish)
		a.State, a.RemovedAt, a.ExpiresAt = store.ArchiveReady, noon, later
		sameArchive(t, db, a, c)
		refused(finish, restored, giveUp)

		storetest.Update(t, db, begin)
		a.State, a.Asked = store.ArchiveRestoring, `{"start":true}`
		sameArchive(t, db, a, c)
		refused(finish, begin, remove)
		storetest.Update(t, db, giveUp)
		a.State, a.Asked = store.ArchiveReady, ""
		sameArchive(t, db, a, c)

		storetest.Update(t, db, begin)
		storetest.Update(t, db, restored)
		a.State, a.RestoredAt, a.RestoredBy = store.ArchiveRestored, noon.Add(time.Hour), "user:bert"
		sameArchive(t, db, a, c)
		refused(finish, begin, restored, giveUp, remove)
		for _, err := range []error{
			try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.FinishArchive(ctx, "nobody", noon, noon) }),
			try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.BeginRestore(ctx, "nobody", "") }),
			try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteArchive(ctx, "nobody") }),
		} {
			wantErr(t, err, store.ErrNotFound)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteArchive(ctx, a.ID) })
		if n := store.Number(t, db, `SELECT (SELECT count(*) FROM archives) + (SELECT count(*) FROM archive_contents)`); n != 0 {
			t.Errorf("%d rows are left of a deleted archive", n)
		}
	})
}

func TestOneOfTwoRestoresWins(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db)
		a, c := anArchive(i)
		a.State = store.ArchiveReady
		keep(t, db, a, c)
		results := make(chan error, 8)
		for range cap(results) {
			go func() {
				results <- db.Update(t.Context(), func(tx *store.Tx) error { return tx.BeginRestore(t.Context(), a.ID, "") })
			}()
		}
		won := 0
		for range cap(results) {
			if err := <-results; err == nil {
				won++
			} else {
				wantErr(t, err, store.ErrConflict)
			}
		}
		if won != 1 {
			t.Errorf("%d restores began", won)
		}
	})
}

// ready adds archives that are ready, an hour apart, newest last.
func ready(t *testing.T, db *store.DB, i store.Instance, n int, edit func(n int, a *store.Archive)) []string {
	t.Helper()
	var ids []string
	for k := range n {
		a, c := anArchive(i)
		a.State, a.RemovedAt, a.ExpiresAt, a.Bytes = store.ArchiveReady, noon.Add(time.Duration(k)*time.Hour), noon.Add(time.Duration(k+24)*time.Hour), 10
		edit(k, &a)
		keep(t, db, a, c)
		ids = append(ids, a.ID)
	}
	return ids
}

func archiveIDs(t *testing.T, db *store.DB, f store.ArchiveFilter, limit int) []string {
	t.Helper()
	ids, p := []string{}, store.Page{Limit: limit}
	for {
		items, next, err := db.Archives(t.Context(), f, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range items {
			ids = append(ids, a.ID)
		}
		if p.Cursor = next; next == "" {
			return ids
		}
	}
}

func TestArchivesPagesAndFilters(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db)
		ids := ready(t, db, i, 6, func(n int, a *store.Archive) {
			switch n {
			case 0:
				a.ProjectID, a.Project = "other", "blog"
			case 1:
				a.State, a.RemovedAt, a.ExpiresAt = store.ArchiveMaking, time.Time{}, time.Time{}
			case 2:
				a.State = store.ArchiveRestored
			case 3:
				a.PlanID, a.ImageTag = "plan2", "9%9"
			case 4:
				a.StageID, a.HostID, a.InstanceID = "stage2", "host2", "instance2"
			case 5:
				a.RemovedAt = noon.Add(4 * time.Hour) // the same moment as the one before
			}
		})
		all := []int{5, 4, 3, 2, 0}
		for _, c := range []struct {
			name string
			f    store.ArchiveFilter
			want []int
		}{
			{"those of use, newest first", store.ArchiveFilter{}, all},
			{"being made", store.ArchiveFilter{States: []store.ArchiveState{store.ArchiveMaking}}, []int{1}},
			{"several states", store.ArchiveFilter{States: []store.ArchiveState{store.ArchiveMaking, store.ArchiveReady}}, []int{5, 4, 3, 0, 1}},
			{"project", store.ArchiveFilter{ProjectID: "other"}, []int{0}},
			{"plan", store.ArchiveFilter{PlanID: "plan2"}, []int{3}},
			{"stage", store.ArchiveFilter{StageID: "stage2"}, []int{4}},
			{"host", store.ArchiveFilter{HostID: "host2"}, []int{4}},
			{"instance", store.ArchiveFilter{InstanceID: "instance2"}, []int{4}},
			{"nobody's", store.ArchiveFilter{InstanceID: "nobody"}, nil},
			{"text of a tag", store.ArchiveFilter{Text: "9%"}, []int{3}},
			{"text of a project", store.ArchiveFilter{Text: "BLOG"}, []int{0}},
			{"text that is nowhere", store.ArchiveFilter{Text: "nowhere"}, nil},
			{"expired, at the moment itself too", store.ArchiveFilter{ExpiredBy: noon.Add(26 * time.Hour)}, []int{2, 0}},
			{"none is expired", store.ArchiveFilter{ExpiredBy: noon}, nil},
			{"dated ahead, by a clock that has been right for as long as they are kept", store.ArchiveFilter{ExpiredBy: noon, Steady: 25 * time.Hour}, []int{4, 3, 2}},
			{"by one that has not", store.ArchiveFilter{ExpiredBy: noon, Steady: 25*time.Hour - time.Millisecond}, nil},
			{"what is not dated ahead waits for its time", store.ArchiveFilter{ExpiredBy: noon.Add(10 * time.Hour), Steady: year}, nil},
		} {
			want := []string{}
			for _, n := range c.want {
				want = append(want, ids[n])
			}
			for _, limit := range []int{2, 100} {
				if diff := cmp.Diff(want, archiveIDs(t, db, c.f, limit)); diff != "" {
					t.Errorf("%s, pages of %d (-want +got):\n%s", c.name, limit, diff)
				}
			}
		}
		n, bytes, err := db.ArchiveTotals(t.Context(), store.ArchiveFilter{})
		if err != nil || n != 4 || bytes != 40 {
			t.Errorf("held are %d archives of %d bytes, %v", n, bytes, err)
		}
		n, bytes, err = db.ArchiveTotals(t.Context(), store.ArchiveFilter{InstanceID: "nobody"})
		if err != nil || n != 0 || bytes != 0 {
			t.Errorf("nobody holds %d archives of %d bytes, %v", n, bytes, err)
		}
		_, _, err = db.Archives(t.Context(), store.ArchiveFilter{}, store.Page{Cursor: "x"})
		wantErr(t, err, store.ErrBadCursor)
	})
}

// TestArchivesOutliveWhatTheyAreAbout: an archive holds up neither its stage nor its project.
func TestArchivesOutliveWhatTheyAreAbout(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s := storetest.Stage(t, db, storetest.Host(t, db), storetest.Project(t, db))
		i := storetest.NewInstance(s)
		a, c := anArchive(i)
		a.State = store.ArchiveReady
		keep(t, db, a, c)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.DeleteStage(ctx, s.ID); err != nil {
				return err
			}
			return tx.DeleteProject(ctx, s.ProjectID)
		})
		sameArchive(t, db, a, c)
		err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RestoreInstance(ctx, i, nil) })
		if wantErr(t, err, store.ErrConflict); err == nil || !strings.Contains(err.Error(), "its stage or its host is gone") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestArchiveContentsAreSealedAndBoundToTheirPlace(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db)
		a, c := anArchive(i)
		b, _ := anArchive(i)
		keep(t, db, a, c)
		keep(t, db, b, c)
		for _, column := range []string{"instance_row", "inspect", "logs"} {
			store.Exec(t, db, `UPDATE archive_contents SET `+column+` = (SELECT `+column+` FROM archive_contents WHERE archive_id = $1) WHERE archive_id = $2`, a.ID, b.ID)
			_, err := db.ArchiveContents(t.Context(), b.ID)
			wantErr(t, err, store.ErrUnreadable)
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetArchive(ctx, b, &c) })
		}
		store.Exec(t, db, `UPDATE archive_contents SET inspect = logs WHERE archive_id = $1`, a.ID)
		_, err := db.ArchiveContents(t.Context(), a.ID)
		wantErr(t, err, store.ErrUnreadable)
	})
}

func TestRestoreInstance(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s, i := storetest.Shop(t, db, full)
		route(t, db, i, "shop.example", "/")
		route(t, db, i, "shop.example", "/api")
		routes, err := db.ArchivedRoutes(ctx, i.ID)
		if err != nil || len(routes) != 2 || len(routes[0].Domains) != 1 || routes[0].Port != 80 || !routes[0].Enabled || routes[0].TLS != "off" {
			t.Fatalf("routes: %+v, %v", routes, err)
		}
		before := view(t, db, i.ID)
		remove := func(id string) {
			t.Helper()
			v := view(t, db, id)
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.BeginRemoval(ctx, store.Removal{InstanceID: id, HostID: v.HostID, Former: v.Status}, v.Revision); err != nil {
					return err
				}
				return tx.FinishRemoval(ctx, id)
			})
		}
		restore := func(i store.Instance, routes []store.ArchivedRoute) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RestoreInstance(ctx, i, routes) })
		}
		back := before.Instance
		back.Spec, back.Status, back.ContainerID = i.Spec, store.StatusStopped, strings.Repeat("b", 64)
		wantErr(t, restore(back, nil), store.ErrConflict) // it is there
		remove(i.ID)

		other := storetest.Instance(t, db, s, func(o *store.Instance) { o.ContainerID = strings.Repeat("c", 64) })
		route(t, db, other, "shop.example", "/api")
		taken := back
		taken.ContainerID = other.ContainerID
		elsewhere := back
		elsewhere.HostID = "nowhere"
		strange := back
		strange.StageID = "nobody"
		for _, c := range []struct {
			err  error
			said string
		}{
			{restore(taken, nil), "another instance is container"},
			{restore(back, routes), "the address shop.example/api is taken"},
			{restore(elsewhere, nil), "its stage or its host is gone"},
			{restore(strange, nil), "its stage or its host is gone"},
		} {
			if wantErr(t, c.err, store.ErrConflict); c.err == nil || !strings.Contains(c.err.Error(), c.said) {
				t.Errorf("error is %v, want %q", c.err, c.said)
			}
		}
		if n := store.Number(t, db, `SELECT (SELECT count(*) FROM instances) * 100 + (SELECT count(*) FROM routes) * 10 + (SELECT count(*) FROM domains)`); n != 111 {
			t.Errorf("after refusals there are instances, routes, addresses: %d", n)
		}
		holders, err := db.AddressHolders(ctx, []store.RouteAddress{routes[0].Domains[0], routes[1].Domains[0]})
		if diff := cmp.Diff(map[store.RouteAddress]string{{Domain: "shop.example", PathPrefix: "/api"}: other.Name}, holders); diff != "" || err != nil {
			t.Errorf("holders: %v, %s", err, diff)
		}

		remove(other.ID)
		if err := restore(back, routes); err != nil {
			t.Fatal(err)
		}
		got := view(t, db, i.ID)
		if got.Revision <= before.Revision+1 {
			t.Errorf("revision %d is not above what was: %d", got.Revision, before.Revision)
		}
		back.Spec, back.Revision, back.UpdatedAt = store.Spec{}, got.Revision, got.UpdatedAt
		if diff := cmp.Diff(back, got.Instance); diff != "" {
			t.Errorf("instance (-want +got):\n%s", diff)
		}
		if spec, err := db.InstanceSpec(ctx, i.ID); err != nil || cmp.Diff(i.Spec, spec) != "" {
			t.Errorf("spec: %v, %s", err, cmp.Diff(i.Spec, spec))
		}
		again, err := db.ArchivedRoutes(ctx, i.ID)
		if diff := cmp.Diff(routes, again); diff != "" || err != nil {
			t.Errorf("routes: %v, %s", err, diff)
		}
	})
}

func TestArchivesOfManyAreAnIndexPage(t *testing.T) {
	db := storetest.SQLite(t)
	_, i := storetest.Shop(t, db)
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for n := range 300 {
			a, c := anArchive(i)
			a.State, a.RemovedAt, a.Name = store.ArchiveReady, noon.Add(time.Duration(n)*time.Minute), fmt.Sprint(n)
			if err := tx.InsertArchive(ctx, a, c); err != nil {
				return err
			}
		}
		return nil
	})
	_, next, err := db.Archives(t.Context(), store.ArchiveFilter{}, store.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, cursor := range []string{"", next} {
		steps := store.ExplainArchives(t, db, store.ArchiveFilter{}, store.Page{Limit: 10, Cursor: cursor})
		if slices.ContainsFunc(steps, store.Step.Sorts) || !slices.ContainsFunc(steps, func(s store.Step) bool { return s.Uses("archives_removed") }) {
			t.Errorf("cursor %q: %v", cursor, steps)
		}
	}
}

// TestKeepRefs: an archive that no undo can need any more shares its name with nobody, and keeps nobody from taking it away.
func TestKeepRefs(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, i := storetest.Shop(t, db, func(i *store.Instance) { i.Status = store.StatusStopped })
		a, c := anArchive(i)
		want := func(when string, needed bool) {
			t.Helper()
			got, err1 := db.KeepRefNeeded(t.Context(), a.KeepRef, "another")
			but, err2 := db.KeepRefNeeded(t.Context(), a.KeepRef, a.ID)
			ref, err3 := db.SharedKeepRef(t.Context(), a.HostID, a.ImageID)
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Fatal(err)
			}
			if got != needed || but || (ref == a.KeepRef) != needed || (ref == "") == needed {
				t.Errorf("%s: needed %v, but for itself %v, shared %q", when, got, but, ref)
			}
		}
		want("nobody has it", false)
		keep(t, db, a, c)
		want("nobody makes it", false)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.BeginRemoval(ctx, store.Removal{InstanceID: i.ID, HostID: i.HostID, Former: i.Status, ArchiveID: a.ID}, 0)
		})
		want("it is being made", true)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.FinishRemoval(ctx, i.ID), tx.FinishArchive(ctx, a.ID, noon, noon.AddDate(0, 0, 14)))
		})
		want("it is ready", true)
		for _, other := range []string{"another host", "another image"} {
			host, image := a.HostID, a.ImageID
			if other == "another host" {
				host = "h"
			} else {
				image = "sha256:f"
			}
			if ref, err := db.SharedKeepRef(t.Context(), host, image); err != nil || ref != "" {
				t.Errorf("%s shares %q, %v", other, ref, err)
			}
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.BeginRestore(ctx, a.ID, "{}") })
		want("it is being restored", true)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.MarkRestored(ctx, a.ID, "user:anna", noon) })
		want("it was restored", false)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.MoveArchive(ctx, a.ID, store.ArchiveRestored, store.ArchiveDeleting)
		})
		want("it is being deleted", false)
		if all, err := db.ArchivesKeptBy(t.Context(), a.KeepRef); err != nil || len(all) != 1 || all[a.ID] != store.ArchiveDeleting {
			t.Errorf("kept by %v, %v", all, err)
		}
	})
}
