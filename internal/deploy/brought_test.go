package deploy

import (
	"context"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestWhoBroughtAnImage: only what a pull of ours brought may ever be reclaimed, so in doubt it was somebody else.
func TestWhoBroughtAnImage(t *testing.T) {
	type word string
	const ours, theirs, none word = "ours", "theirs", "not known"
	for _, c := range []struct {
		name   string
		before func(r *rig, id string)
		want   word
	}{
		{"pulled by us", func(*rig, string) {}, ours},
		{"other images were there", func(r *rig, _ string) { r.pretend.AddImage(dockertest.Image{Ref: "postgres:17"}) }, ours},
		{"there before by the same name", func(r *rig, id string) { r.pretend.AddImage(dockertest.Image{Ref: repository + ":1.0", ID: id}) }, theirs},
		{"there before by another name", func(r *rig, id string) { r.pretend.AddImage(dockertest.Image{Ref: "mine:latest", ID: id}) }, theirs},
		{"there before, known as ours", func(r *rig, id string) {
			r.pretend.AddImage(dockertest.Image{Ref: repository + ":0.9", ID: id})
			r.noted(id, false)
		}, ours},
		{"there before, known as theirs", func(r *rig, id string) {
			r.pretend.AddImage(dockertest.Image{Ref: repository + ":0.9", ID: id})
			r.noted(id, true)
		}, theirs},
		{"was theirs and has left since", func(r *rig, id string) { r.noted(id, true) }, ours},
		{"what was there cannot be told", func(r *rig, _ string) {
			r.pretend.Fail(dockertest.Fault{On: `^GET /images/json`, Status: 500})
		}, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
				const id = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
				r.pretend.Publish(dockertest.Image{Ref: repository + ":1.0", ID: id})
				c.before(r, id)
				r.run()
				v := r.deploy("1.0")
				known, err := r.db.PulledImages(t.Context(), v.HostID)
				if err != nil {
					t.Fatal(err)
				}
				got := none
				if p, ok := known[id]; ok && p.Foreign {
					got = theirs
				} else if ok {
					got = ours
				}
				if got != c.want || v.ImageID != id {
					t.Errorf("%s, want %s; image %s", got, c.want, v.ImageID)
				}
			})
		})
	}
}

func (r *rig) noted(id string, foreign bool) {
	r.t.Helper()
	storetest.Update(r.t, r.db, func(ctx context.Context, tx *store.Tx) error {
		return tx.PutPulledImage(ctx, store.PulledImage{HostID: r.stage.HostID, ImageID: id, Ref: "before", Foreign: foreign, PulledAt: time.Now()})
	})
}
