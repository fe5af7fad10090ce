package deploy

import (
	"context"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// inspectsAtOnce bounds how many containers an engine is asked about together.
const inspectsAtOnce = 8

// Wanted is what a stage would be brought to. An empty tag stands for that of each instance.
type Wanted struct {
	Image, Tag, Digest string
	Spec               store.Spec
}

// Comparison is how a live instance of a stage differs from what is wanted there.
type Comparison struct {
	Instance    store.InstanceView
	Differences []Difference
	Unsure      string // why its engine could not be asked: then it is compared as it was deployed
}

// CompareLive compares the instances of a stage that have a process with what is wanted of it. An engine that does not answer
// is no error.
func (d *Deployer) CompareLive(ctx context.Context, stage store.Stage, w Wanted) ([]Comparison, error) {
	live, err := liveOf(ctx, d.db, stage, "")
	if err != nil {
		return nil, err
	}
	all := make([]Comparison, len(live))
	specs := make([]store.Spec, len(live))
	for i, v := range live {
		all[i].Instance = v
		if specs[i], err = d.db.InstanceSpec(ctx, v.ID); err != nil {
			return nil, fmt.Errorf("read the spec of %s: %w", v.Name, err)
		}
	}
	var workers guard.Group
	slots := make(chan struct{}, inspectsAtOnce)
	for i := range all {
		workers.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			d.compare(ctx, &all[i], specs[i], w)
		})
	}
	workers.Wait()
	return all, ctx.Err()
}

func (d *Deployer) compare(ctx context.Context, c *Comparison, deployed store.Spec, w Wanted) {
	now, err := d.setup(ctx, c.Instance)
	switch {
	case err != nil:
		c.Unsure = err.Error()
	case c.Instance.Ownership == store.OwnershipAdopted:
		deployed = Explicit(now, w.Spec, deployed)
	default:
		deployed = AsItRuns(deployed, now)
	}
	c.Differences = append(compareImage(c.Instance.Instance, w), Compare(deployed, w.Spec)...)
}

// setup asks the engine what a container was made with.
func (d *Deployer) setup(ctx context.Context, v store.InstanceView) (docker.Setup, error) {
	eng, err := d.fleet.Engine(v.HostID)
	if err != nil {
		return docker.Setup{}, err
	}
	c, err := eng.Inspect(ctx, v.ContainerID)
	if err != nil {
		return docker.Setup{}, err
	}
	return docker.ReadSetup(c.Raw)
}

// compareImage compares by digest where both are known, for a tag can be pushed again.
func compareImage(i store.Instance, w Wanted) []Difference {
	tag := w.Tag
	if tag == "" {
		tag = i.ImageTag
	}
	moved := w.Digest != "" && i.Digest != "" && w.Digest != i.Digest
	if i.Image == w.Image && (i.ImageTag == tag && !moved || i.Digest != "" && i.Digest == tag) {
		return nil
	}
	is, will := reference(i.Image, i.ImageTag), reference(w.Image, tag)
	if moved && is == will {
		is, will = is+" "+i.Digest, will+" "+w.Digest
	}
	return []Difference{{Field: "image", Change: Changed, Running: is, Wanted: will}}
}
