package poll

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// heard writes down what a witness is told.
type heard struct {
	told []string
	errs []error
}

func (h *heard) Began(registry string) { h.told = append(h.told, "began "+registry) }

func (h *heard) Ended(registry string, err error) {
	h.told, h.errs = append(h.told, "ended "+registry), append(h.errs, err)
}

// TestAWitnessIsTold of each look and each registry; a registry that does not answer is no error, and a look that is cut off is.
func TestAWitnessIsTold(t *testing.T) {
	b := newBed(t)
	h := &heard{}
	b.poller.WatchBy(h)
	b.round()
	if want := []string{"began ", "ended "}; !slices.Equal(h.told, want) || h.errs[0] != nil {
		t.Errorf("where nothing is followed it was told %q with %v", h.told, h.errs)
	}
	b.stage("dev", store.ModeAuto, versions)
	b.registry.set(func(p *pretended) { p.fails[image] = errNoAnswer })
	h.told, h.errs = nil, nil
	b.round()
	if want := []string{"began ", "ended ", "began registry.example", "ended registry.example"}; !slices.Equal(h.told, want) || errors.Join(h.errs...) != nil {
		t.Errorf("it was told %q with %v", h.told, h.errs)
	}
	h.told, h.errs = nil, nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.poller.Round(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a round that is cut off ends with %v", err)
	}
	if want := []string{"began ", "ended "}; !slices.Equal(h.told, want) || !errors.Is(h.errs[0], context.Canceled) {
		t.Errorf("it was told %q with %v", h.told, h.errs)
	}
}
