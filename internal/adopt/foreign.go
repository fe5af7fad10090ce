package adopt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Mark is what is particular about a foreign container.
type Mark string

// The marks. The first two are never adopted.
const (
	MarkNone         Mark = ""
	MarkSwarm        Mark = "swarm_task"         // the orchestrator's
	MarkSelf         Mark = "self"               // the container that docker-watcher runs in
	MarkStray        Mark = "label_without_row"  // our label, and no row of ours: a copy, or of a store that was lost
	MarkInstallation Mark = "other_installation" // the label of another docker-watcher
)

// Foreign is a container on a host of ours that is not ours, as it stands now.
type Foreign struct {
	Host             store.Host
	ID               string // full
	Name             string
	Image            string // as given at its creation
	State            docker.State
	CreatedAt        time.Time
	Compose, Service string // of its compose labels
	Mark             Mark
	// Seen is what a scan would make of it, were it ours; its CheckError says why it could not be asked about. Now is the
	// engine's clock then.
	Seen     store.Instance
	Now      time.Time
	Proposal Proposal

	labels   map[string]string
	services int // of its compose project, on its host
}

// Why says why it can never be adopted; empty if it can be.
func (f Foreign) Why() string {
	switch f.Mark {
	case MarkSwarm:
		return "it is a task of Docker Swarm, which looks after its own"
	case MarkSelf:
		return "docker-watcher itself runs in it"
	case MarkNone, MarkStray, MarkInstallation, making:
	}
	if f.State == docker.StateRemoving || f.State == docker.StateDead {
		return fmt.Sprintf("the engine is at its removal (%s)", f.State)
	}
	return ""
}

// Query selects foreign containers; empty fields do not filter.
type Query struct {
	HostID  string
	Text    string   // in name, image, id, compose project or service; without regard to case
	Compose string   // project
	Classes []string // classes of what is not alive, or "running"
	Page    store.Page
}

// ClassRunning selects, among the classes, those that run.
const ClassRunning = "running"

// NotAsked is a host that could not be asked: nothing is known of what is on it.
type NotAsked struct {
	Host store.Host
	Err  error
}

// List is a page of foreign containers.
type List struct {
	Items    []Foreign
	Next     string // cursor
	Total    int    // that match all but the class, on the hosts that were asked
	NotAsked []NotAsked
}

const (
	usualPage = 100
	// mostLooks bounds the inspects of one page where a class is looked for that few have.
	mostLooks = 300
)

// Foreign lists the containers that are not ours. A host costs three calls; those that do not run, of one page, are inspected.
func (a *Adopter) Foreign(ctx context.Context, q Query) (List, error) {
	after, err := parseKey(q.Page.Cursor)
	if err != nil {
		return List{}, err
	}
	hosts, err := a.db.Hosts(ctx)
	if err != nil {
		return List{}, err
	}
	if q.HostID != "" {
		hosts = slices.DeleteFunc(hosts, func(h store.Host) bool { return h.ID != q.HostID })
	}
	found, l := make([][]Foreign, len(hosts)), List{}
	errs := make([]error, len(hosts))
	var wg guard.Group
	for i, h := range hosts {
		wg.Go(func() { found[i], errs[i] = a.on(ctx, h) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return List{}, fmt.Errorf("ask the hosts for their containers: %w", err)
	}
	for i, err := range errs {
		if err != nil {
			l.NotAsked = append(l.NotAsked, NotAsked{hosts[i], err})
		}
	}
	all := slices.DeleteFunc(slices.Concat(found...), func(f Foreign) bool { return !q.matches(f) })
	sortByKey(all)
	l.Total = len(all)
	all = slices.DeleteFunc(all, func(f Foreign) bool { return keyOf(f).compare(after) <= 0 })
	if err := a.page(ctx, q, all, &l); err != nil {
		return List{}, err
	}
	return l, a.proposeAll(ctx, l.Items)
}

func (q Query) matches(f Foreign) bool {
	if q.Compose != "" && f.Compose != q.Compose {
		return false
	}
	if q.Text != "" && !slices.ContainsFunc([]string{f.Name, f.Image, f.ID, f.Compose, f.Service}, func(part string) bool {
		return strings.Contains(strings.ToLower(part), strings.ToLower(q.Text))
	}) {
		return false
	}
	return len(q.Classes) == 0 || f.State != docker.StateRunning || slices.Contains(q.Classes, ClassRunning)
}

// hasClass is the part of matches that takes an inspect to know.
func (q Query) hasClass(f Foreign) bool {
	if len(q.Classes) == 0 || slices.Contains(q.Classes, string(f.Seen.Class)) {
		return true
	}
	return f.Seen.Status == store.StatusRunning && slices.Contains(q.Classes, ClassRunning)
}

// page looks at as many as fill a page, some at a time.
func (a *Adopter) page(ctx context.Context, q Query, all []Foreign, l *List) error {
	limit := q.Page.Limit
	if limit <= 0 {
		limit = usualPage
	}
	looked := 0
	for len(all) > 0 && len(l.Items) < limit && looked < mostLooks {
		batch := all[:min(len(all), limit-len(l.Items))]
		gone, err := a.look(ctx, batch)
		if err != nil {
			return err
		}
		for i, f := range batch {
			if !gone[i] && q.hasClass(f) {
				l.Items = append(l.Items, f)
			}
		}
		looked += len(batch)
		if all = all[len(batch):]; len(all) > 0 {
			l.Next = keyOf(batch[len(batch)-1]).String()
		} else {
			l.Next = ""
		}
	}
	return nil
}

// on lists what is on one host and not ours, without having looked at any.
func (a *Adopter) on(ctx context.Context, h store.Host) ([]Foreign, error) {
	ctx, cancel := context.WithTimeout(ctx, listWithin)
	defer cancel()
	on, err := a.reach(ctx, h)
	if err != nil {
		return nil, err
	}
	rows, err := listAll(ctx, on.engine)
	if err != nil {
		return nil, err
	}
	// Read after the lists: what a deploy makes meanwhile has its row before it is in them.
	known, err := a.db.Containers(ctx)
	if err != nil {
		return nil, err
	}
	services := map[string]map[string]bool{}
	for _, row := range rows {
		project := row.Labels[labelCompose]
		if services[project] == nil {
			services[project] = map[string]bool{}
		}
		services[project][row.Labels[labelService]] = true
	}
	var all []Foreign
	for _, row := range rows {
		if known[row.ID] {
			continue
		}
		mark, err := a.mark(ctx, row)
		if err != nil {
			return nil, err
		}
		if mark == making {
			continue
		}
		project := row.Labels[labelCompose]
		all = append(all, Foreign{
			Host: h, ID: row.ID, Name: row.Name, Image: row.Image, State: row.State, CreatedAt: row.Created, Mark: mark,
			Compose: project, Service: row.Labels[labelService], labels: row.Labels, services: len(services[project]),
		})
	}
	return all, nil
}

// listAll asks for those that run and the others apart, so that the engine filters by status. One that moved between the two
// is there once.
func listAll(ctx context.Context, e *docker.Engine) ([]docker.Summary, error) {
	var running, others []docker.Summary
	g, gctx := errgroup.WithContext(ctx)
	g.Go(guard.Hold(func() (err error) {
		running, err = e.List(gctx, docker.ListOptions{States: []docker.State{docker.StateRunning}})
		return err
	}))
	g.Go(guard.Hold(func() (err error) {
		others, err = e.List(gctx, docker.ListOptions{States: []docker.State{
			docker.StateCreated, docker.StateExited, docker.StatePaused, docker.StateRestarting, docker.StateDead, docker.StateRemoving,
		}})
		return err
	}))
	if err := guard.Again(g.Wait()); err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(others))
	for _, row := range others {
		there[row.ID] = true
	}
	return append(others, slices.DeleteFunc(running, func(row docker.Summary) bool { return there[row.ID] })...), nil
}

// making is the mark of one that a deploy or an undo of ours is making, and is about to write down.
const making Mark = "making"

func (a *Adopter) mark(ctx context.Context, row docker.Summary) (Mark, error) {
	installation := row.Labels[docker.LabelInstallation]
	switch {
	case row.ID == a.self:
		return MarkSelf, nil
	case row.Labels[docker.LabelSwarmTask] != "":
		return MarkSwarm, nil
	case installation == "":
		return MarkNone, nil
	case installation != a.db.InstallationID():
		return MarkInstallation, nil
	}
	id := row.Labels[docker.LabelInstance]
	if id == "" {
		return MarkStray, nil
	}
	owner, err := a.db.Instance(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	if err == nil && (owner.Status.Deploying() || owner.ContainerID == row.ID) {
		return making, nil // or of another host of ours on the same engine
	}
	under, _, err := a.db.Archives(ctx, store.ArchiveFilter{InstanceID: id, States: []store.ArchiveState{store.ArchiveRestoring}}, store.Page{Limit: 1})
	if err != nil {
		return "", err
	}
	if len(under) > 0 {
		return making, nil
	}
	return MarkStray, nil
}

// look fills in what is seen of some: those that run are alive, the others are inspected. gone are those that are there no more.
func (a *Adopter) look(ctx context.Context, some []Foreign) (gone []bool, err error) {
	gone = make([]bool, len(some))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inspectsAtOnce)
	for i := range some {
		f := &some[i]
		engine, err := a.fleet.Engine(f.Host.ID)
		if err != nil {
			f.Seen.CheckError = err.Error()
			continue
		}
		if f.Now = engine.Now(); f.State == docker.StateRunning && !isImageID(f.Image) {
			f.Seen = a.hands.FirstLook(docker.Container{ID: f.ID, Name: f.Name, State: f.State, CreatedAt: f.CreatedAt, Labels: f.labels}, f.Now)
			continue
		}
		g.Go(guard.Hold(func() error {
			gone[i] = a.inspect(gctx, engine, f)
			return nil
		}))
	}
	if err := guard.Again(g.Wait()); err != nil {
		return nil, err
	}
	return gone, ctx.Err()
}

// inspect asks about one; that it could not be asked is said of it and holds nobody up.
func (a *Adopter) inspect(ctx context.Context, engine *docker.Engine, f *Foreign) (gone bool) {
	ctx, cancel := context.WithTimeout(ctx, inspectWithin)
	defer cancel()
	c, err := engine.Inspect(ctx, f.ID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return true
	case err != nil:
		f.Seen.CheckError = err.Error()
		return false
	}
	f.Now = engine.Now()
	f.Seen, f.State, f.Image = a.hands.FirstLook(c, f.Now), c.State, c.Image
	return false
}

// proposeAll fills in where each would best go.
func (a *Adopter) proposeAll(ctx context.Context, some []Foreign) error {
	for i := range some {
		f := &some[i]
		p := propose(named{container: f.Name, compose: f.Compose, service: f.Service, image: f.Image, services: f.services})
		if err := a.know(ctx, &p, f.Host); err != nil {
			return err
		}
		f.Proposal = p
	}
	return nil
}

// know finds out which of the proposed names exist, and steps out of the way of a project of another image and of a stage of
// another host.
func (a *Adopter) know(ctx context.Context, p *Proposal, h store.Host) error {
	project, err := a.db.ProjectByName(ctx, p.Project)
	if err == nil && p.Image != "" && project.Image != p.Image {
		p.Project = slug(p.Project + "-" + lastOf(p.Image))
		project, err = a.db.ProjectByName(ctx, p.Project)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p.ProjectKnown = true
	stage, err := a.db.StageByName(ctx, project.ID, p.Stage)
	if err == nil && stage.HostID != h.ID {
		p.Stage = slug(p.Stage + "-" + h.Name)
		stage, err = a.db.StageByName(ctx, project.ID, p.Stage)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	p.StageKnown = err == nil && stage.HostID == h.ID
	return err
}
