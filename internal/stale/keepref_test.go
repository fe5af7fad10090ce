package stale

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// unwritten is a container that wrote nothing outside of its volumes: only its image is to be kept.
func unwritten(t *dockertest.Template) { t.SizeRw = 0 }

// pair removes two instances of one image.
func (b *cleanBed) pair() (first, second store.Archive) {
	b.t.Helper()
	one, _ := b.plant("one", 20, unwritten)
	two, _ := b.plant("two", 20, unwritten)
	return b.removed(one), b.removed(two)
}

func (b *cleanBed) deleted(a store.Archive) {
	b.t.Helper()
	if err := b.cleaner.DeleteArchive(b.t.Context(), a.ID, "user:anna"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *cleanBed) wantKept(names ...string) {
	b.t.Helper()
	if got := b.kept(); !slices.Equal(got, names) {
		b.t.Errorf("kept on the engine: %v, want %v", got, names)
	}
}

func isUntag(method, path string) bool {
	return method == http.MethodDelete && strings.Contains(path, "/images/")
}

// All archives of an image keep it by one name, which goes with the last of them.
func TestArchivesShareANameUntilTheLastGoes(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		first, second := b.pair()
		if first.KeepRef != second.KeepRef {
			t.Errorf("two names for one image: %s, %s", first.KeepRef, second.KeepRef)
		}
		b.wantKept(first.KeepRef)
		if tags := b.engine.Requests(`^POST /images/.*/tag`); len(tags) != 1 {
			t.Errorf("the image was named %d times", len(tags))
		}
		b.deleted(first)
		b.wantKept(second.KeepRef)
		b.deleted(second)
		b.wantKept()
	})
}

// Of two that go at the same moment neither leaves the name to the other.
func TestTwoArchivesGoAtOnce(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		first, second := b.pair()
		b.gate.hook(func(string, string) { time.Sleep(time.Second) }, nil) // step by step, side by side
		var both sync.WaitGroup
		for _, a := range []store.Archive{first, second} {
			both.Go(func() {
				if err := b.cleaner.DeleteArchive(t.Context(), a.ID, "user:anna"); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		b.wantKept()
	})
}

// A removal that begins while the last archive of its image is about to take the name away gets it back.
func TestARemovalWhileTheLastNameGoes(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		one, _ := b.plant("one", 20, unwritten)
		two, _ := b.plant("two", 20, unwritten)
		first := b.removed(one)
		plan := b.plan(Selection{InstanceID: two.ID})
		var removing sync.WaitGroup
		var once sync.Once
		b.gate.hook(func(method, path string) {
			if isUntag(method, path) {
				once.Do(func() {
					removing.Go(func() { b.apply(plan) })
					time.Sleep(time.Second) // it comes as far as it can
				})
			}
		}, nil)
		b.deleted(first)
		removing.Wait()
		second := b.archives(two)[0]
		b.wantKept(second.KeepRef)
		b.wantEvent("archive.made", two.ID, 1)
	})
}

// An engine that was asked to take the name away, and of which nobody heard, may do so at any time: whoever is removed
// meanwhile keeps its image by a name of its own.
func TestANameThatMayYetGoIsNotTrusted(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		one, _ := b.plant("one", 20, unwritten)
		two, _ := b.plant("two", 20, unwritten)
		first := b.removed(one)
		frozen, carriedOut := make(chan struct{}), make(chan struct{})
		b.gate.hook(func(method, path string) {
			if isUntag(method, path) {
				<-frozen
			}
		}, func(method, path string) {
			if isUntag(method, path) {
				close(carriedOut)
			}
		})
		if err := b.cleaner.DeleteArchive(t.Context(), first.ID, "user:anna"); !errors.Is(err, docker.ErrTimeout) {
			t.Fatalf("deleted: %v", err)
		}
		second := b.removed(two)
		if second.KeepRef == first.KeepRef {
			t.Errorf("%s was taken over", first.KeepRef)
		}
		close(frozen)
		<-carriedOut
		synctest.Wait()
		b.wantKept(second.KeepRef)

		b.gate.hook(nil, nil)
		if _, err := b.cleaner.ExpireArchives(t.Context()); err != nil { // ends what was left half done
			t.Fatal(err)
		}
		b.wantKept(second.KeepRef)
		b.deleted(second)
		b.wantKept()
	})
}

// A removal that is taken back takes no name away that another archive needs.
func TestTakingBackLeavesTheNamesOfOthers(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		one, _ := b.plant("one", 20, unwritten)
		two, ct := b.plant("two", 20, unwritten)
		first := b.removed(one)
		plan := b.plan(Selection{InstanceID: two.ID})
		b.engine.Fail(dockertest.Fault{On: `^DELETE /containers/` + ct.ID, Status: http.StatusConflict})
		b.want(b.apply(plan), two, store.ResultInUse)
		b.wantKept(first.KeepRef)
		b.wantBackFrom(first)
	})
}

// wantBackFrom restores from an archive although the image lost every name but ours.
func (b *cleanBed) wantBackFrom(a store.Archive) {
	b.t.Helper()
	b.lend()
	if _, err := b.adapter.RemoveImage(b.t.Context(), "shop:1.0"); err != nil {
		b.t.Fatal(err)
	}
	if view := b.restored(a, Choices{}); view.ID != a.InstanceID {
		b.t.Errorf("%s came back", view.ID)
	}
}

// Hosts of ours never share a name, also where two of them are one engine.
func TestHostsDoNotShareNames(t *testing.T) {
	const image = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	a, b := keepRef(store.NewID(), image), keepRef(store.NewID(), image)
	_, tag, _ := strings.Cut(a, ":")
	if a == b || len(tag) > 128 || strings.Contains(tag, ":") {
		t.Errorf("%s and %s", a, b)
	}
}
