package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// As any stage is made with that says nothing of them.
const (
	keepLast    = 2
	drain       = 10 * time.Second
	parallelMax = 10
)

// untagged stands for the tag of an image that has no name: no registry has it, so that no deploy can bring it again.
const untagged = "untagged"

// Adoption is what became of a request, or would become of it.
type Adoption struct {
	Items []Adopted
	Left  []Foreign // of a whole compose project: what can never be adopted; its Why says why
}

// Adopted is what became of one wish, or would become of it.
type Adopted struct {
	Instance store.Instance // with its spec; without an id where nothing was made
	Host     store.Host
	Project  store.Project
	Stage    store.Stage
	// MadeProject and MadeStage: they did not exist before.
	MadeProject, MadeStage bool
	StaleAfter             store.StaleAfter // in force for it
	Now                    time.Time        // engine's clock when it was looked at
	Left                   []string         // what the next deploy would do without, a line each
	Warnings               []string         // what to know before the yes, a line each
}

var errDryRun = errors.New("nothing is to be made")

// Adopt takes containers over: rows, and the projects and stages that they go into, in one transaction, all or nothing. Nothing
// on an engine is changed. A dry run decides the same and makes nothing.
func (a *Adopter) Adopt(ctx context.Context, r Request) (Adoption, error) {
	r, left, err := a.complete(ctx, r)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Adoption{}, err
	}
	subjects, err := a.examineAll(ctx, r.Items)
	if err != nil {
		return Adoption{}, err
	}
	var done []Adopted
	err = a.db.Update(ctx, func(tx *store.Tx) error {
		done = nil
		t := &taking{a: a, tx: tx, r: r, stages: map[string]bool{}}
		for _, s := range subjects {
			one, err := t.take(ctx, s)
			if err != nil {
				return err
			}
			done = append(done, one)
		}
		if r.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		for i := range done {
			done[i].forget()
		}
		err = nil
	}
	if err != nil {
		return Adoption{}, err
	}
	if !r.DryRun {
		for _, one := range done {
			a.hands.Follow(one.Host.ID, one.Instance.ContainerID, one.Instance.ID)
		}
		a.log.InfoContext(ctx, "containers adopted", "count", len(done), "actor", r.By.Actor)
	}
	return Adoption{Items: done, Left: left}, nil
}

// forget takes the ids away of what was made by way of trial.
func (d *Adopted) forget() {
	d.Instance.ID = ""
	if d.MadeProject {
		d.Project.ID, d.Instance.ProjectID = "", ""
	}
	if d.MadeStage {
		d.Stage.ID, d.Instance.StageID = "", ""
	}
}

// taking is an adoption in its transaction.
type taking struct {
	a      *Adopter
	tx     *store.Tx
	r      Request
	stages map[string]bool // that this adoption has made
}

func (t *taking) take(ctx context.Context, s subject) (Adopted, error) {
	one := Adopted{Host: s.on.host, Now: s.now, Left: s.left}
	host, err := t.tx.Host(ctx, s.on.host.ID)
	if err == nil {
		err = settled(host) // a scan may have frozen it since it was asked
	}
	if err != nil {
		return one, fmt.Errorf("adopt %s: %w", s.name(), err)
	}
	if err := t.project(ctx, s, &one); err != nil {
		return one, err
	}
	if err := t.stage(ctx, s, &one); err != nil {
		return one, err
	}
	if err := t.row(ctx, s, &one); err != nil {
		return one, err
	}
	view, err := t.tx.Instance(ctx, one.Instance.ID)
	if err != nil {
		return one, err
	}
	one.StaleAfter = view.StaleAfter
	one.Warnings = append(warningsOf(s, one, t.a.hands), one.Warnings...)
	return one, t.tell(ctx, s, one)
}

// project finds the project, or makes it.
func (t *taking) project(ctx context.Context, s subject, one *Adopted) (err error) {
	if one.Project, err = t.tx.Project(ctx, s.wish.Project); errors.Is(err, store.ErrNotFound) {
		one.Project, err = t.tx.ProjectByName(ctx, s.wish.Project)
	}
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if !t.r.Make {
		return field(s.at, "project", "there is no project %s; say that it may be made", s.wish.Project)
	}
	image := cmp.Or(s.wish.Image, s.repository)
	if image == "" {
		return field(s.at, "image", "the image of %s has no name: say which repository project %s deploys", s.c.Name, s.wish.Project)
	}
	if err := t.a.hands.CheckReference(image, "latest"); err != nil {
		return field(s.at, "image", "%v", err)
	}
	one.Project = store.Project{ID: store.NewID(), Name: s.wish.Project, Image: image, Revision: 1}
	one.MadeProject = true
	return t.tx.InsertProject(ctx, one.Project)
}

// stage finds the stage, or makes it with the spec of the container.
func (t *taking) stage(ctx context.Context, s subject, one *Adopted) (err error) {
	one.Stage, err = t.tx.StageByName(ctx, one.Project.ID, s.wish.Stage)
	if err == nil {
		return t.mayJoin(ctx, s, one)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if !t.r.Make {
		return field(s.at, "stage", "project %s has no stage %s; say that it may be made", one.Project.Name, s.wish.Stage)
	}
	one.Stage = store.Stage{
		ID: store.NewID(), ProjectID: one.Project.ID, HostID: s.on.host.ID, Name: s.wish.Stage, Kind: cmp.Or(s.wish.Kind, store.StageProduction),
		StaleAfter: s.wish.StaleAfter, KeepLast: keepLast, Drain: drain, Strategy: store.StrategyReplace, ParallelMax: parallelMax,
		Spec: s.spec, Revision: 1,
	}
	one.MadeStage, t.stages[one.Stage.ID] = true, true
	return t.tx.InsertStage(ctx, one.Stage)
}

// mayJoin looks whether a stage that is there can take the container, and says what its next deploy will do otherwise.
func (t *taking) mayJoin(ctx context.Context, s subject, one *Adopted) error {
	place := one.Project.Name + "/" + one.Stage.Name
	if one.Stage.HostID != s.on.host.ID {
		return field(s.at, "stage", "%s runs on another host than %s", place, s.c.Name)
	}
	open, err := t.tx.OpenDeploys(ctx)
	if err != nil {
		return err
	}
	for _, dep := range open {
		if dep.StageID == one.Stage.ID {
			return fmt.Errorf("adopt %s: %w: a deploy of %s is %s; wait until it ends", s.name(), ErrBusy, place, dep.State)
		}
	}
	if names := t.a.hands.Differing(s.spec, one.Stage.Spec); len(names) > 0 {
		one.Warnings = append(one.Warnings, fmt.Sprintf("%s has a spec of its own, and the next deploy goes by that: it differs from this container in %s", place, strings.Join(names, ", ")))
	}
	live, _, err := t.tx.Instances(ctx, store.InstanceFilter{StageID: one.Stage.ID, Statuses: []store.Status{store.StatusRunning}}, store.Page{Limit: 1})
	if err == nil && len(live) > 0 && one.Stage.Strategy != store.StrategyParallel {
		one.Warnings = append(one.Warnings, fmt.Sprintf("%s runs in %s already: the next deploy replaces both", live[0].Name, place))
	}
	return err
}

// row writes the instance, whose image was here before us, and, where it runs, a deploy that is done: so it is one that a
// rollback can go back to.
func (t *taking) row(ctx context.Context, s subject, one *Adopted) error {
	i := s.seen
	i.ID, i.HostID, i.ProjectID, i.StageID = store.NewID(), s.on.host.ID, one.Project.ID, one.Stage.ID
	i.Name, i.ContainerID, i.Ownership, i.EngineID = s.c.Name, s.c.ID, store.OwnershipAdopted, s.on.info.EngineID
	i.Image, i.ImageTag, i.ImageID, i.Digest = s.repository, s.tag, s.c.ImageID, s.digest
	if i.Image == "" {
		i.Image, i.ImageTag = one.Project.Image, untagged
	}
	i.Spec, i.Intended, i.Revision = s.spec, store.IntendedStopped, 1
	if runs(s.c) {
		i.Intended = store.IntendedRunning
	}
	i.CreatedAt = time.Now().UTC()
	one.Instance = i
	if err := t.tx.Adopt(ctx, i); err != nil {
		return err
	}
	if err := t.tx.PutPulledImage(ctx, store.PulledImage{HostID: i.HostID, ImageID: i.ImageID, Ref: s.c.Image, Foreign: true, PulledAt: i.CreatedAt}); err != nil {
		return err
	}
	if !runs(s.c) {
		return nil
	}
	return t.tx.InsertDeploy(ctx, store.Deploy{
		ID: store.NewID(), Kind: store.DeployAdoption, ProjectID: i.ProjectID, StageID: i.StageID, HostID: i.HostID, InstanceID: i.ID,
		Image: i.Image, ImageTag: i.ImageTag, Digest: i.Digest, State: store.DeployDone, Actor: t.r.By.Actor, CreatedAt: i.CreatedAt, EndedAt: i.CreatedAt,
	})
}

// runs reports whether it has a process.
func runs(c docker.Container) bool {
	return c.State == docker.StateRunning || c.State == docker.StatePaused || c.State == docker.StateRestarting
}

// tell writes the events, last what was adopted.
func (t *taking) tell(ctx context.Context, s subject, one Adopted) error {
	var told []store.Event
	place := one.Project.Name + "/" + one.Stage.Name
	if one.MadeProject {
		told = append(told, event(t.r.By, "project.created", "project "+one.Project.Name+" was made", one))
	}
	if one.MadeStage {
		e := event(t.r.By, "stage.created", "stage "+place+" was made", one)
		if why := t.a.hands.Dangerous(one.Stage.Spec); len(why) > 0 {
			e.Severity = store.SeverityWarn
			e.Message += "; its containers get power over the host: " + strings.Join(why, ", ")
		}
		told = append(told, e)
	}
	for i := range told {
		told[i].InstanceID = ""
	}
	e := event(t.r.By, "instance.adopted", fmt.Sprintf("%s on %s was adopted into %s", s.c.Name, s.on.host.Name, place), one)
	e.Data["container_id"], e.Data["name"], e.Data["image_tag"], e.Data["image"] = s.c.ID, s.c.Name, one.Instance.ImageTag, one.Instance.Image
	if compose := s.c.Labels[labelCompose]; compose != "" {
		e.Data["compose_project"] = compose
	}
	return t.tx.Emit(ctx, append(told, e)...)
}

func event(by By, kind, message string, one Adopted) store.Event {
	return store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceAPI, Kind: kind, Message: message, Actor: by.Actor,
		ProjectID: one.Project.ID, StageID: one.Stage.ID, InstanceID: one.Instance.ID, HostID: one.Host.ID,
		Data: map[string]any{"addr": by.Addr},
	}
}

// warningsOf says what to know of a container before the yes.
func warningsOf(s subject, one Adopted, hands Hands) []string {
	var said []string
	say := func(is bool, format string, args ...any) {
		if is {
			said = append(said, fmt.Sprintf(format, args...))
		}
	}
	say(s.mark == MarkStray, "it carries this docker-watcher's label, but no row knows it: it may be a copy of one of yours")
	say(s.mark == MarkInstallation, "it carries the label of another docker-watcher: if that one still runs, both will look after it")
	say(s.c.Labels[labelCompose] != "", "compose still knows it: 'docker compose up' may make it anew under another id, and 'down' removes it; it is missing here then")
	say(s.rm, "the engine removes it by itself when it ends (--rm): then there is nothing to go back to and nothing to undo")
	say(s.repository == "", "its image has no name, so that no deploy and no undo can pull it again")
	say(s.repository != "" && s.repository != one.Project.Image, "project %s deploys %s, and this container was made of %s", one.Project.Name, one.Project.Image, s.repository)
	power := strings.Join(hands.Dangerous(s.spec), ", ")
	say(power != "" && one.MadeStage, "it has power over its host, and so will all that is deployed to %s/%s, by operators too: %s", one.Project.Name, one.Stage.Name, power)
	say(power != "" && !one.MadeStage, "it has power over its host: %s", power)
	if one.MadeStage {
		if err := hands.CheckSpec(s.spec); err != nil {
			say(true, "no deploy of %s/%s will be taken before its spec is mended: %v", one.Project.Name, one.Stage.Name, err)
		}
	}
	return said
}
