package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/reclaim"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type leftJSON struct {
	HostID  string           `json:"host_id"`
	Host    string           `json:"host" doc:"its name"`
	Bytes   int64            `json:"bytes" doc:"of the reclaimable images together, no layer counted twice"`
	Images  []leftImageJSON  `json:"images" nullable:"false"`
	Volumes []leftVolumeJSON `json:"volumes" nullable:"false"`
}

type lastUseJSON struct {
	InstanceID string `json:"instance_id,omitempty"`
	Instance   string `json:"instance,omitempty" doc:"its name"`
	Project    string `json:"project,omitempty"`
	Stage      string `json:"stage,omitempty"`
	ImageTag   string `json:"image_tag,omitempty"`
	LastUsedAt moment `json:"last_used_at" doc:"when that instance was last alive"`
	RemovedAt  moment `json:"removed_at"`
}

func lastUseOf(r store.Remnant) lastUseJSON {
	return lastUseJSON{
		InstanceID: r.InstanceID, Instance: r.Instance, Project: r.Project, Stage: r.Stage, ImageTag: r.ImageTag,
		LastUsedAt: moment(r.LastUsedAt), RemovedAt: moment(r.RemovedAt),
	}
}

type leftImageJSON struct {
	ID          string      `json:"id"`
	Refs        []string    `json:"refs" nullable:"false" doc:"its names on the engine"`
	Size        int64       `json:"size" doc:"whole"`
	Bytes       *int64      `json:"bytes" doc:"that would come back, without layers that others share; null: not known"`
	Reclaimable bool        `json:"reclaimable"`
	Why         string      `json:"why,omitempty" doc:"why it is not"`
	UsedBy      []string    `json:"used_by" nullable:"false"`
	ArchiveIDs  []string    `json:"archive_ids" nullable:"false" doc:"archives that keep it"`
	KeptUntil   moment      `json:"kept_until" doc:"when the last of them expires"`
	LastUse     lastUseJSON `json:"last_use"`
}

type leftVolumeJSON struct {
	Name       string      `json:"name"`
	Driver     string      `json:"driver"`
	Anonymous  bool        `json:"anonymous"`
	Bytes      *int64      `json:"bytes" doc:"null: not known"`
	UsedBy     []string    `json:"used_by" nullable:"false"`
	ArchiveIDs []string    `json:"archive_ids" nullable:"false" doc:"archives whose restore needs it"`
	LastUse    lastUseJSON `json:"last_use"`
	Removable  bool        `json:"removable"`
	Why        string      `json:"why,omitempty" doc:"why it is not"`
}

func leftOf(l reclaim.Left, host string) leftJSON {
	j := leftJSON{
		HostID: l.HostID, Host: host, Bytes: l.Bytes,
		Images: make([]leftImageJSON, 0, len(l.Images)), Volumes: make([]leftVolumeJSON, 0, len(l.Volumes)),
	}
	for _, i := range l.Images {
		j.Images = append(j.Images, leftImageJSON{
			ID: i.ID, Refs: orNone(i.Refs), Size: i.Size, Bytes: knownBytes(i.Bytes, true), Reclaimable: i.Reclaimable, Why: i.Why,
			UsedBy: orNone(i.UsedBy), ArchiveIDs: orNone(i.ArchiveIDs), KeptUntil: moment(i.KeptUntil), LastUse: lastUseOf(i.LastUse),
		})
	}
	for _, v := range l.Volumes {
		j.Volumes = append(j.Volumes, leftVolumeJSON{
			Name: v.Name, Driver: v.Driver, Anonymous: v.Anonymous, Bytes: knownBytes(v.Bytes, true), UsedBy: orNone(v.UsedBy),
			ArchiveIDs: orNone(v.ArchiveIDs), LastUse: lastUseOf(v.LastUse), Removable: v.Removable, Why: v.Why,
		})
	}
	return j
}

// left asks a host what is left of what removed instances used.
func (s *server) left(ctx context.Context, in *ByID) (*out[leftJSON], error) {
	h, err := s.d.DB.Host(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	l, err := s.d.Reclaimer.Look(ctx, h.ID)
	if err != nil {
		return nil, err
	}
	return answer(leftOf(l, h.Name)), nil
}

type reclaimPlanJSON struct {
	ID        string            `json:"id"`
	HostID    string            `json:"host_id"`
	State     string            `json:"state" enum:"planned,applying,applied,cancelled"`
	CreatedAt stamp             `json:"created_at"`
	CreatedBy string            `json:"created_by"`
	ExpiresAt stamp             `json:"expires_at"`
	AppliedAt moment            `json:"applied_at"`
	AppliedBy string            `json:"applied_by,omitempty"`
	DoneAt    moment            `json:"done_at"`
	Bytes     int64             `json:"bytes" doc:"of all items together, at least"`
	Items     []reclaimItemJSON `json:"items" nullable:"false"`
}

type reclaimItemJSON struct {
	ImageID string      `json:"image_id"`
	Refs    []string    `json:"refs" nullable:"false"`
	Bytes   int64       `json:"bytes" doc:"that come back: without layers that others share"`
	LastUse lastUseJSON `json:"last_use"`
	Result  string      `json:"result,omitempty" enum:"removed,already_gone,in_use,kept,changed,error"`
	Detail  string      `json:"detail,omitempty"`
}

func reclaimPlanOf(p store.ReclaimPlan) reclaimPlanJSON {
	j := reclaimPlanJSON{
		ID: p.ID, HostID: p.HostID, State: string(p.State), CreatedAt: stamp(p.CreatedAt), CreatedBy: p.CreatedBy, ExpiresAt: stamp(p.ExpiresAt),
		AppliedAt: moment(p.AppliedAt), AppliedBy: p.AppliedBy, DoneAt: moment(p.DoneAt), Items: make([]reclaimItemJSON, 0, len(p.Items)),
	}
	for _, i := range p.Items {
		j.Bytes += max(0, i.Bytes)
		j.Items = append(j.Items, reclaimItemJSON{
			ImageID: i.ImageID, Refs: orNone(i.Refs), Bytes: max(0, i.Bytes), LastUse: lastUseOf(i.LastUse), Result: string(i.Result), Detail: i.Detail,
		})
	}
	return j
}

func (s *server) getReclaimPlan(ctx context.Context, in *ByID) (*out[reclaimPlanJSON], error) {
	p, err := s.d.DB.ReclaimPlan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(reclaimPlanOf(p)), nil
}

// reclaimRequest describes the body in the document; readReclaim is what reads it.
type reclaimRequest struct {
	DryRun *bool    `json:"dry_run,omitempty" enum:"true" doc:"answer a plan, touch nothing"`
	Images []string `json:"images,omitempty" maxItems:"500" doc:"beside dry_run: ids of these images; absent: all that are reclaimable"`
	PlanID string   `json:"plan_id,omitempty" doc:"apply this plan; nothing may stand beside it"`
}

func reclaimBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[reclaimRequest](fn, true)
}

// reclaimWish is a plan to be made (of these images, or of all) or one to be applied.
type reclaimWish struct {
	images []string
	planID string
}

// readReclaim reads the body of a reclaim. Unlike a cleanup there is no doing both at
// once: an image is pulled again only if its registry still has it.
func readReclaim(body []byte) (reclaimWish, error) {
	var w reclaimWish
	keys, err := readObject(body)
	if err != nil {
		return w, err
	}
	for _, name := range sortedKeys(keys) {
		if err := w.read(name, keys[name]); err != nil {
			return reclaimWish{}, err
		}
	}
	_, dry := keys["dry_run"]
	switch {
	case w.planID != "" && len(keys) > 1:
		return reclaimWish{}, invalid("body", "a plan is applied as it is: nothing may stand beside plan_id")
	case w.planID == "" && !dry:
		return reclaimWish{}, invalid("body", "make a plan with dry_run: true, then apply it by its plan_id")
	}
	return w, nil
}

func (w *reclaimWish) read(name string, value json.RawMessage) error {
	where := "body." + name
	switch name {
	case "dry_run":
		if string(value) != "true" {
			return invalid(where, "only true is possible")
		}
		return nil
	case "plan_id":
		return readPlanID(where, value, &w.planID)
	case "images":
		if err := readValue(where, value, &w.images, "a list of image ids"); err != nil {
			return err
		}
		if len(w.images) == 0 || len(w.images) > mostIDs || slices.Contains(w.images, "") {
			return invalid(where, "1 to "+strconv.Itoa(mostIDs)+" image ids are expected")
		}
		return nil
	}
	return invalid(where, "there is no such key")
}

type reclaimIn struct {
	ByID
	RawBody []byte
}

// reclaim plans or applies the removal of images that only removed instances used.
func (s *server) reclaim(ctx context.Context, in *reclaimIn) (*out[reclaimPlanJSON], error) {
	w, err := readReclaim(in.RawBody)
	if err != nil {
		return nil, err
	}
	h, err := s.d.DB.Host(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if w.planID == "" {
		p, err := s.d.Reclaimer.Plan(ctx, h.ID, w.images, actorOf(ctx))
		if err != nil {
			return nil, err
		}
		return answer(reclaimPlanOf(p)), nil
	}
	p, err := s.d.DB.ReclaimPlan(ctx, w.planID)
	if err != nil {
		return nil, err
	}
	if p.HostID != h.ID {
		return nil, invalid("body.plan_id", "it is a plan of another host")
	}
	actor := actorOf(ctx)
	applying, cancel := s.beyondCaller(ctx, cleanupTimeout)
	defer cancel()
	p, err = s.d.Reclaimer.Apply(applying, w.planID, actor, func(done, total int, i store.ReclaimItem) {
		s.tellReclaimed(p, actor, done, total, i)
	})
	if err != nil {
		return nil, err
	}
	return answer(reclaimPlanOf(p)), nil
}

// tellReclaimed spreads how far a reclaim is: chatter, not kept.
func (s *server) tellReclaimed(p store.ReclaimPlan, actor string, done, total int, i store.ReclaimItem) {
	name := i.ImageID
	if len(i.Refs) > 0 {
		name = i.Refs[0]
	}
	s.d.Bus.Publish(store.Event{
		Time: time.Now(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "reclaim.progress",
		Message: name + ": " + string(i.Result), HostID: p.HostID, Actor: actor,
		Data: map[string]any{
			"plan_id": p.ID, "done": done, "total": total, "image_id": i.ImageID, "name": name, "result": string(i.Result),
		},
	})
}

type removeVolumeIn struct {
	ByID
	Name      string `path:"name" maxLength:"255" doc:"of the volume"`
	BreakUndo bool   `query:"break_undo" doc:"also when the restore of an archive needs it"`
}

// removeVolume removes one anonymous volume; a named one never.
func (s *server) removeVolume(ctx context.Context, in *removeVolumeIn) (*none, error) {
	if _, err := s.d.DB.Host(ctx, in.ID); err != nil {
		return nil, err
	}
	acting, cancel := s.beyondCaller(ctx, actionTimeout)
	defer cancel()
	err := s.d.Reclaimer.RemoveVolume(acting, in.ID, in.Name, in.BreakUndo, actorOf(ctx))
	if errors.Is(err, docker.ErrNotFound) {
		return nil, newProblem(http.StatusNotFound, codeNotFound, err.Error())
	}
	return nil, err
}
