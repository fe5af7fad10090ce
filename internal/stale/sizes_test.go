package stale

import (
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

func TestMeasureSizes(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		large, _ := b.plant("shop-preview-a", 10, func(tpl *dockertest.Template) { tpl.SizeRw = 12345 })
		gone, ct := b.plant("shop-preview-b", 9, nil)
		ct.Remove()
		measure := func() {
			t.Helper()
			if err := b.cleaner.MeasureSizes(t.Context()); err != nil {
				t.Fatal(err)
			}
		}

		b.engine.Fail(dockertest.Fault{On: "^GET /containers/" + large.ContainerID, Times: 2, Status: 500})
		measure()
		if v, err := b.db.Instance(t.Context(), large.ID); err != nil || !v.SizeAt.IsZero() {
			t.Errorf("no answer became the size %d (%v)", v.SizeRw, err)
		}

		measure()
		v, err := b.db.Instance(t.Context(), large.ID)
		if err != nil || v.SizeRw != 12345 || v.SizeAt.IsZero() {
			t.Errorf("size %d at %s (%v)", v.SizeRw, v.SizeAt, err)
		}
		if v.Revision != large.Revision {
			t.Errorf("a measured size moved the revision: a plan made before would refuse it")
		}
		if v, err := b.db.Instance(t.Context(), gone.ID); err != nil || !v.SizeAt.IsZero() {
			t.Errorf("a container that is gone has a size: %d (%v)", v.SizeRw, err)
		}

		b.engine.ResetCalls()
		measure()
		for _, asked := range b.engine.Requests(`size=`) {
			if asked.Path == "/containers/"+large.ContainerID+"/json" {
				t.Errorf("what was measured is measured again")
			}
		}
	})
}
