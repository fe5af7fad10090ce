package stale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Refusals of an undo.
var (
	ErrNotRestorable = errors.New("cannot be restored")
	ErrConflicts     = errors.New("something is in the way of the restore")
	ErrNotStarted    = errors.New("is restored, but could not be started")
)

const (
	restorePull   = 30 * time.Minute
	restoreSettle = 2 * time.Minute // from the container that is made to the row that knows it
)

// Choices are what a person decides where a restore has conflicts; the zero value changes nothing.
type Choices struct {
	Name         string // another container name; empty: the old one
	AnyPort      bool   // let the engine choose the host ports
	SkipNetworks bool   // leave out networks that are gone
	MakeNetworks bool   // make networks that are gone anew, as plain bridges
	PullImage    bool   // pull the image by its digest if it is gone
	EmptyVolumes bool   // go on with new empty volumes where the old ones are gone
	SkipRoutes   bool   // leave out routes whose address is taken
	Start        bool   // start it afterwards
}

// ConflictError carries the conflicts of a refused restore.
type ConflictError struct{ Check RestoreCheck }

func (e *ConflictError) Error() string {
	words := make([]string, len(e.Check.Conflicts))
	for i, c := range e.Check.Conflicts {
		words[i] = c.Detail
	}
	return fmt.Sprintf("%v: %s", ErrConflicts, strings.Join(words, "; "))
}

// Unwrap makes it an ErrConflicts.
func (e *ConflictError) Unwrap() error { return ErrConflicts }

// RestoreResult is what became of one archive of a plan that was restored as a whole.
type RestoreResult struct {
	Archive   store.Archive
	Instance  store.InstanceView // zero unless restored
	Conflicts []Conflict
	Err       error
}

// Restore brings a removed instance back, stopped unless the choices say to start it. A *ConflictError (errors.Is
// ErrConflicts) lists what is in the way; nothing was made then. An error beside an instance is that of its start.
func (c *Cleaner) Restore(ctx context.Context, archiveID string, ch Choices, actor string) (store.InstanceView, error) {
	view, err := c.restore(ctx, archiveID, ch, actor)
	if err != nil {
		c.tellRefused(ctx, archiveID, actor, err)
		return store.InstanceView{}, err
	}
	if !ch.Start {
		return view, nil
	}
	if c.hands.Start == nil {
		return view, fmt.Errorf("%s %w: there is nobody here to start it", view.Name, ErrNotStarted)
	}
	if err := c.hands.Start(ctx, view.ID, actor); err != nil {
		return view, fmt.Errorf("%s %w: %w", view.Name, ErrNotStarted, err)
	}
	return c.db.Instance(ctx, view.ID)
}

// RestorePlan restores everything that a plan removed; each by itself, never all or nothing.
func (c *Cleaner) RestorePlan(ctx context.Context, planID string, ch Choices, actor string, told func(done, total int, r RestoreResult)) ([]RestoreResult, error) {
	if _, err := c.db.Plan(ctx, planID); err != nil {
		return nil, err
	}
	if ch.Name != "" {
		return nil, store.FieldError{Field: "name", Reason: "one name cannot be that of all instances of a plan"}
	}
	archives, err := c.archives(ctx, store.ArchiveFilter{PlanID: planID, States: []store.ArchiveState{store.ArchiveReady}})
	if err != nil {
		return nil, err
	}
	if len(archives) == 0 {
		return nil, fmt.Errorf("%w: no archive of plan %s is left", ErrNotRestorable, planID)
	}
	results, ended := make([]RestoreResult, len(archives)), make(chan int)
	var all guard.Group
	all.Go(func() {
		defer close(ended)
		besideHosts(len(archives), applyWorkers, func(i int) string { return archives[i].HostID }, func(i int) {
			results[i] = c.restoreOne(ctx, archives[i], ch, actor)
			ended <- i
		})
	})
	done := 0
	for i := range ended {
		done++
		if told != nil {
			told(done, len(archives), results[i])
		}
	}
	all.Wait()
	return results, nil
}

func (c *Cleaner) restoreOne(ctx context.Context, a store.Archive, ch Choices, actor string) RestoreResult {
	r := RestoreResult{Archive: a}
	if r.Err = ctx.Err(); r.Err != nil {
		return r
	}
	r.Instance, r.Err = c.Restore(ctx, a.ID, ch, actor)
	if refused, ok := errors.AsType[*ConflictError](r.Err); ok {
		r.Conflicts = refused.Check.Conflicts
	}
	return r
}

// tellRefused keeps an event of a restore that came to nothing.
func (c *Cleaner) tellRefused(ctx context.Context, archiveID, actor string, why error) {
	ctx, cancel := settling(ctx)
	defer cancel()
	a, err := c.db.Archive(ctx, archiveID)
	if errors.Is(err, store.ErrNotFound) { // there is nothing to tell of
		return
	}
	if err == nil {
		e := archiveEvent(a, "archive.restore_refused", fmt.Sprintf("%s was not restored: %v", archivedName(a), why), actor)
		e.Severity = store.SeverityWarn
		err = c.db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) })
	}
	if err != nil {
		c.log.Error("keep event of a refused restore", "archive_id", archiveID, "error", err)
	}
}

// asked is what a restore is to do, kept while it is under way so that a recovery can end it.
type asked struct {
	Name   string                `json:"name"`
	Actor  string                `json:"actor"`
	At     time.Time             `json:"at"`
	Routes []store.ArchivedRoute `json:"routes"`
}

func (c *Cleaner) restore(ctx context.Context, archiveID string, ch Choices, actor string) (store.InstanceView, error) {
	if !c.hold(c.archived, archiveID) {
		return store.InstanceView{}, fmt.Errorf("%w now: it is being restored or deleted", ErrNotRestorable)
	}
	defer c.letGo(c.archived, archiveID)
	s, err := c.survey(ctx, archiveID, ch)
	if err != nil {
		return store.InstanceView{}, err
	}
	if len(s.check.Conflicts) > 0 {
		return store.InstanceView{}, &ConflictError{Check: s.check}
	}
	release, ok := c.take(s.archive.InstanceID)
	if !ok {
		return store.InstanceView{}, fmt.Errorf("%w now: somebody else has it in hand", ErrNotRestorable)
	}
	defer release()
	s.asked.Actor, s.asked.At = actor, time.Now().UTC()
	if err := s.begin(ctx); err != nil {
		return store.InstanceView{}, err
	}
	failpoint.Here("restore-begun")
	id, err := s.make(ctx)
	failpoint.Here("restore-made")
	if err != nil {
		return s.unmade(ctx, err)
	}
	return s.finish(ctx, id)
}

// begin writes the intention, once.
func (s *restoring) begin(ctx context.Context) error {
	words, err := json.Marshal(s.asked)
	if err != nil {
		return fmt.Errorf("write down the restore: %w", err)
	}
	err = s.c.db.Update(ctx, func(tx *store.Tx) error {
		if err := notDeploying(ctx, tx, s.archive.StageID); err != nil {
			return err
		}
		return tx.BeginRestore(ctx, s.archive.ID, string(words))
	})
	switch {
	case errors.Is(err, errDeploying):
		return fmt.Errorf("%w now: %w", ErrNotRestorable, err)
	case errors.Is(err, store.ErrConflict):
		return fmt.Errorf("%w: its archive moved on: %w", ErrNotRestorable, err)
	}
	return err
}

// make brings image and networks as chosen and makes the container.
func (s *restoring) make(ctx context.Context) (string, error) {
	if s.pull != "" {
		if err := s.bring(ctx); err != nil {
			return "", fmt.Errorf("pull %s: %w", s.pull, err)
		}
	}
	for _, name := range s.makeNetworks {
		if err := s.on.engine.CreateNetwork(ctx, name); err != nil && !errors.Is(err, docker.ErrConflict) {
			return "", err
		}
	}
	if s.old.ID == "" {
		return s.makeFromSpec(ctx)
	}
	return s.on.engine.Recreate(ctx, docker.RecreateOptions{
		Inspect: s.contents.Inspect, Name: s.asked.Name, Image: s.image, Labels: s.labels(s.old.Labels),
		AnyPort: s.choices.AnyPort, SkipNetworks: s.skipNetworks, FreeAddress: s.makeNetworks,
	})
}

// bring pulls the image and remembers whether it was there before us, for then it is not ours to remove.
func (s *restoring) bring(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restorePull)
	defer cancel()
	before, err := s.on.engine.Images(ctx)
	if err != nil {
		return err
	}
	login := ""
	if s.c.hands.LogIn != nil {
		if login, err = s.c.hands.LogIn(ctx, s.archive.Image); err != nil {
			return err
		}
	}
	if err := s.on.engine.Pull(ctx, s.pull, login, nil); err != nil {
		return err
	}
	image, err := s.on.engine.InspectImage(ctx, s.pull)
	if err != nil {
		return err
	}
	brought := store.PulledImage{HostID: s.archive.HostID, ImageID: image.ID, Ref: s.pull, PulledAt: time.Now().UTC()}
	for _, row := range before {
		brought.Foreign = brought.Foreign || row.ID == image.ID
	}
	return s.c.db.Update(ctx, func(tx *store.Tx) error { return tx.PutPulledImage(ctx, brought) })
}

// makeFromSpec makes the container as a deploy would: all that is left of one that somebody else removed.
func (s *restoring) makeFromSpec(ctx context.Context) (string, error) {
	if s.c.hands.Options == nil {
		return "", fmt.Errorf("%w: its container was gone, and there is nobody here who makes one of its spec", ErrNotRestorable)
	}
	o := s.c.hands.Options(store.InstanceView{Instance: s.contents.Instance, Project: s.archive.Project, Stage: s.archive.Stage}, s.contents.Instance.Spec)
	o.Name, o.Image, o.Labels = s.asked.Name, s.image, s.labels(o.Labels)
	o.Networks = slices.DeleteFunc(o.Networks, func(a docker.Attachment) bool { return slices.Contains(s.skipNetworks, a.Network) })
	if s.choices.AnyPort {
		for i := range o.Ports {
			o.Ports[i].Host = 0
		}
	}
	return s.on.engine.Create(ctx, o)
}

// labels are the old ones; one that was adopted had none of ours, and gets them now.
func (s *restoring) labels(old map[string]string) map[string]string {
	all := map[string]string{
		docker.LabelManaged: "true", docker.LabelProject: s.archive.Project, docker.LabelStage: s.archive.Stage,
	}
	maps.Copy(all, old)
	all[docker.LabelInstallation], all[docker.LabelInstance] = s.c.db.InstallationID(), s.archive.InstanceID
	return all
}

// unmade ends a restore whose container could not be made, unless the engine has made it all the same.
func (s *restoring) unmade(ctx context.Context, err error) (store.InstanceView, error) {
	look, cancel := settling(ctx)
	defer cancel()
	id, lost := s.find(look)
	switch {
	case lost != nil:
		return store.InstanceView{}, fmt.Errorf("%w; what became of it could not be asked, it will be ended later: %w", err, lost)
	case id != "":
		return s.finish(ctx, id)
	}
	return store.InstanceView{}, s.giveUp(look, err)
}

// find looks for a container that was made and not written down: it has the name and all of our labels.
func (s *restoring) find(ctx context.Context) (string, error) {
	rows, err := s.on.engine.List(ctx, docker.ListOptions{Labels: []string{
		docker.LabelInstallation + "=" + s.c.db.InstallationID(), docker.LabelInstance + "=" + s.archive.InstanceID,
	}})
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		if row.Name == s.asked.Name && row.Labels[docker.LabelSwarmTask] == "" {
			return row.ID, nil
		}
	}
	return "", nil
}

// giveUp makes the archive what it was and returns why.
func (s *restoring) giveUp(ctx context.Context, why error) error {
	if err := s.putBack(ctx); err != nil {
		return fmt.Errorf("%w; that could not be written down: %w", why, err)
	}
	return why
}

func (s *restoring) putBack(ctx context.Context) error {
	return s.c.db.Update(ctx, func(tx *store.Tx) error {
		return tx.MoveArchive(ctx, s.archive.ID, store.ArchiveRestoring, store.ArchiveReady)
	})
}

// finish writes the container that was made into a row with the old id, also when the caller has gone.
func (s *restoring) finish(ctx context.Context, containerID string) (store.InstanceView, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreSettle)
	defer cancel()
	ct, err := inspect(ctx, s.on.engine, containerID)
	if err != nil {
		return store.InstanceView{}, fmt.Errorf("look at the container that was made, it will be ended later: %w", err)
	}
	row := s.row(ct)
	var view store.InstanceView
	err = s.c.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.RestoreInstance(ctx, row, s.asked.Routes); err != nil {
			return err
		}
		if err := tx.MarkRestored(ctx, s.archive.ID, s.asked.Actor, time.Now().UTC()); err != nil {
			return err
		}
		var err error
		if view, err = tx.Instance(ctx, row.ID); err != nil {
			return err
		}
		e := archiveEvent(s.archive, "archive.restored", archivedName(s.archive)+" was restored", s.asked.Actor)
		e.Data["container_id"], e.Data["new_name"] = ct.ID, ct.Name
		return tx.Emit(ctx, e)
	})
	failpoint.Here("restore-recorded")
	if errors.Is(err, store.ErrConflict) {
		return store.InstanceView{}, s.unmake(ctx, ct, err)
	}
	if err != nil {
		return store.InstanceView{}, fmt.Errorf("write down that it is restored, it will be ended later: %w", err)
	}
	s.c.log.Info("instance restored", "instance_id", row.ID, "name", row.Name, "archive_id", s.archive.ID)
	return view, nil
}

// unmake removes a container that was made a moment ago and that the store cannot take, say because an address
// of its routes was taken meanwhile.
func (s *restoring) unmake(ctx context.Context, ct docker.Container, why error) error {
	_, err := s.c.db.InstanceByContainer(ctx, s.archive.HostID, ct.ID)
	switch {
	case err == nil: // it has got a row all the same: then it is not ours to take back
		return s.giveUp(ctx, fmt.Errorf("%w: %w", ErrNotRestorable, why))
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w; whose the container made for it is could not be read, it will be ended later: %w", why, err)
	}
	err = s.on.engine.Remove(ctx, docker.Owned{ID: ct.ID, Installation: s.c.db.InstallationID(), Instance: s.archive.InstanceID})
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return fmt.Errorf("%w; the container made for it could not be removed, it will be ended later: %w", why, err)
	}
	return s.giveUp(ctx, fmt.Errorf("%w: %w", ErrNotRestorable, why))
}

// row is the instance as it comes back: its age counts anew, and nobody was warned of it yet.
func (s *restoring) row(ct docker.Container) store.Instance {
	old := s.contents.Instance
	row := store.Instance{
		ID: old.ID, HostID: old.HostID, ProjectID: old.ProjectID, StageID: old.StageID, Name: ct.Name, ContainerID: ct.ID,
		Ownership: store.OwnershipCreated, EngineID: s.on.info.EngineID, Image: old.Image, ImageTag: old.ImageTag, ImageID: ct.ImageID,
		Digest: old.Digest, Spec: old.Spec, Status: store.StatusStopped, Intended: store.IntendedStopped, CreatedAt: old.CreatedAt,
	}
	return Observe(row, ct, s.on.engine.Now())
}

// recoverRestore ends a restore that a crash cut short: the container that was made is taken over, else all is as before.
func (c *Cleaner) recoverRestore(ctx context.Context, hosts *hostBook, a store.Archive) error {
	if !c.hold(c.archived, a.ID) {
		return nil
	}
	defer c.letGo(c.archived, a.ID)
	// It was listed before it was in hand: whoever had it in hand then may have ended the restore meanwhile.
	a, err := c.db.Archive(ctx, a.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && a.State != store.ArchiveRestoring {
		return nil
	}
	if err != nil {
		return err
	}
	s := &restoring{c: c, archive: a}
	if err := json.Unmarshal([]byte(a.Asked), &s.asked); err != nil {
		return fmt.Errorf("read what the restore of %s was asked for: %w", a.Name, err)
	}
	if s.contents, err = c.db.ArchiveContents(ctx, a.ID); err != nil {
		return err
	}
	if s.on, err = hosts.same(ctx, a.HostID); err != nil {
		return fmt.Errorf("the restore of %s %w: %w", a.Name, errWaits, err)
	}
	id, err := s.find(ctx)
	if err != nil {
		return fmt.Errorf("the restore of %s %w: %w", a.Name, errWaits, err)
	}
	if id != "" {
		_, err = s.finish(ctx, id)
		return err
	}
	if err := s.putBack(ctx); err != nil {
		return err
	}
	c.tellRefused(ctx, a.ID, s.asked.Actor, errors.New("it was interrupted before anything was made"))
	return nil
}
