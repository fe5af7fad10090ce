package stale

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// unwritten is a container that wrote nothing outside of its volumes: only its image is to be kept.
func unwritten(t *dockertest.Template) { t.SizeRw = 0 }

// twins are two instances of one image, the first of which is removed.
func (b *cleanBed) twins() (first store.Archive, two store.Instance, ct *dockertest.Container) {
	b.t.Helper()
	one, _ := b.plant("one", 20, unwritten)
	two, ct = b.plant("two", 20, unwritten)
	return b.removed(one), two, ct
}

// pair is twins that are both removed.
func (b *cleanBed) pair() (first, second store.Archive) {
	b.t.Helper()
	first, two, _ := b.twins()
	return first, b.removed(two)
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

// An engine that was asked to take the name away, and of which nobody heard, may do so at any time: whoever is removed
// meanwhile keeps its image by a name of its own.
func TestANameThatMayYetGoIsNotTrusted(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		first, two, _ := b.twins()
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
		first, two, ct := b.twins()
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

// Whoever keeps its image by a name of its own does not take that of others away: each name is given once.
func TestOneThatGoesKeepsItsHandsOffTheNamesOfOthers(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		first, two, _ := b.twins()
		plan := b.plan(Selection{InstanceID: two.ID})
		var once sync.Once
		b.gate.hook(func(method, path string) {
			if isUntag(method, path) {
				once.Do(func() { b.apply(plan) })
			}
		}, nil)
		b.deleted(first)
		second := b.archives(two)[0]
		if second.KeepRef == first.KeepRef {
			t.Errorf("%s was taken over", first.KeepRef)
		}
		b.wantKept(second.KeepRef)
	})
}

// A name that was asked to go twice goes late, when its archive is long forgotten: nobody has it then.
func TestALateAnswerMeetsNobody(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		first, two, _ := b.twins()
		frozen, carriedOut := make(chan struct{}), make(chan struct{})
		var asked atomic.Int32
		b.gate.hook(func(method, path string) {
			if isUntag(method, path) && asked.Add(1) == 1 {
				<-frozen
			}
		}, func(method, path string) {
			if isUntag(method, path) && asked.Add(1) == 4 { // the first is the last to be carried out
				close(carriedOut)
			}
		})
		if err := b.cleaner.DeleteArchive(t.Context(), first.ID, "user:anna"); !errors.Is(err, docker.ErrTimeout) {
			t.Fatalf("deleted: %v", err)
		}
		b.deleted(first) // asked again, and heard
		second := b.removed(two)
		close(frozen)
		<-carriedOut
		synctest.Wait()
		b.wantKept(second.KeepRef)
	})
}

// Two names of ours are all that an image has: one of them stays, whoever lets go of both at once.
func TestTheLastTwoNamesDoNotGoAtOnce(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		one, _ := b.plant("one", 20, unwritten)
		first := b.removed(one)
		second := first
		second.ID, second.KeepRef = store.NewID(), keepRef("another")
		if err := b.adapter.TagImage(t.Context(), first.ImageID, second.KeepRef); err != nil {
			t.Fatal(err)
		}
		if _, err := b.adapter.RemoveImage(t.Context(), "shop:1.0"); err != nil {
			t.Fatal(err)
		}
		b.update(func(tx *store.Tx) error { return tx.InsertArchive(t.Context(), second, store.ArchiveContents{}) })
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
		if len(b.kept()) != 1 {
			t.Errorf("on the engine: %v", b.kept())
		}
	})
}

// A stranger who moved the name of an archive to another image leads nobody astray: the removal moves it back, and
// an undo comes from the right image or from none.
func TestANameThatAStrangerMoved(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		first, two, _ := b.twins()
		other := b.engine.AddImage(dockertest.Image{Ref: "foreign:1"})
		if err := b.adapter.TagImage(t.Context(), other, first.KeepRef); err != nil {
			t.Fatal(err)
		}
		second := b.removed(two)
		image, err := b.adapter.InspectImage(t.Context(), second.KeepRef)
		if err != nil || image.ID != second.ImageID {
			t.Errorf("%s keeps %s, want %s (%v)", second.KeepRef, image.ID, second.ImageID, err)
		}
		b.wantBackFrom(first)
	})
}

// Two hosts of ours that are one engine keep the image each by a name of its own.
func TestTwoHostsOnOneEngineDoNotShareNames(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		one, _ := b.plant("one", 20, unwritten)
		first := b.removed(one)
		b.host = b.addHost("again", b.engine)
		b.stage.ID, b.stage.Name, b.stage.HostID = store.NewID(), "elsewhere", b.host.ID
		b.update(func(tx *store.Tx) error { return tx.InsertStage(t.Context(), b.stage) })
		two, _ := b.plant("two", 20, unwritten)
		second := b.removed(two)
		if first.KeepRef == second.KeepRef || len(b.kept()) != 2 {
			t.Errorf("%s and %s, on the engine %v", first.KeepRef, second.KeepRef, b.kept())
		}
		b.deleted(second)
		b.wantKept(first.KeepRef)
	})
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		done, err := turns.wait(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		other, err := turns.wait(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		other()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := turns.wait(short, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("taken twice: %v", err)
		}
		had := 0
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				done, err := turns.wait(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				had++ // the race detector sees to it that one at a time does this
				done()
			})
		}
		done()
		all.Wait()
		if had != 100 || len(turns.held) != 0 {
			t.Errorf("%d had it, %d are held", had, len(turns.held))
		}
	})
}
