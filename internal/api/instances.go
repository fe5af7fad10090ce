package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type instanceJSON struct {
	ID                 string                   `json:"id"`
	ProjectID          string                   `json:"project_id"`
	Project            string                   `json:"project" doc:"its name"`
	StageID            string                   `json:"stage_id"`
	Stage              string                   `json:"stage" doc:"its name"`
	StageKind          string                   `json:"stage_kind" enum:"dev,staging,production,preview"`
	HostID             string                   `json:"host_id"`
	Host               string                   `json:"host" doc:"its name"`
	HostDisabled       moment                   `json:"host_disabled_since" doc:"its host is not asked since: what is shown is what was known then; null: it is"`
	Name               string                   `json:"name" doc:"of the container"`
	ContainerID        string                   `json:"container_id,omitempty"`
	Ownership          string                   `json:"ownership" enum:"created,adopted"`
	Image              string                   `json:"image"`
	ImageTag           string                   `json:"image_tag"`
	ImageID            string                   `json:"image_id,omitempty"`
	Digest             string                   `json:"digest,omitempty"`
	Status             string                   `json:"status" enum:"pending,pulling,starting,running,stopped,paused,restarting,dead,missing,failed,removing"`
	Intended           string                   `json:"intended" enum:"running,stopped" doc:"what was last asked of it"`
	Class              string                   `json:"class,omitempty" doc:"in which way it is not alive"`
	ContainerCreatedAt moment                   `json:"container_created_at"`
	StartedAt          moment                   `json:"started_at"`
	FinishedAt         moment                   `json:"finished_at"`
	ExitCode           int                      `json:"exit_code"`
	OOMKilled          bool                     `json:"oom_killed"`
	RestartCount       int                      `json:"restart_count"`
	EngineError        string                   `json:"engine_error,omitempty"`
	LastAliveAt        moment                   `json:"last_alive_at"`
	Evidence           string                   `json:"evidence,omitempty" doc:"what last_alive_at rests on"`
	UpperBound         bool                     `json:"upper_bound" doc:"last_alive_at may be later than the truth, never earlier"`
	Stale              bool                     `json:"stale"`
	StaleSince         moment                   `json:"stale_since"`
	StaleAfter         string                   `json:"stale_after" doc:"the threshold in force"`
	CheckedAt          moment                   `json:"checked_at" doc:"when the engine last answered for it"`
	CheckError         string                   `json:"check_error,omitempty" doc:"why the last check could not tell"`
	HeldBack           string                   `json:"held_back,omitempty" doc:"why automatic cleanup leaves it alone"`
	Protection         nullable[protectionJSON] `json:"protection"`
	SnoozedUntil       moment                   `json:"snoozed_until"`
	SnoozedBy          string                   `json:"snoozed_by,omitempty"`
	SnoozeReason       string                   `json:"snooze_reason,omitempty"`
	TagGoneSince       moment                   `json:"tag_gone_since,omitzero" doc:"since when its registry has the tag no more"`
	Policy             *decisionJSON            `json:"policy,omitempty" doc:"what policy makes of it, and when; of a single instance"`
	Blind              []blindSpanJSON          `json:"blind,omitempty" doc:"stretches of its age in which nobody watched; of a single instance"`
	BlindSeconds       int64                    `json:"blind_seconds,omitempty"`
	BlindWords         string                   `json:"blind_words,omitempty" doc:"the same in words, and what it means"`
	Bytes              *int64                   `json:"bytes" doc:"of the writable layer; null: not known"`
	Ports              []portJSON               `json:"ports,omitempty" doc:"published now; asked of the engine for a single running instance, or with live=true"`
	Domains            []string                 `json:"domains,omitempty" doc:"what leads to it by its routes, each with its path; of a single instance"`
	Requests           int64                    `json:"requests,omitempty" doc:"that came to it by its routes; of a single instance. No reason to be stale or not"`
	LastRequestAt      moment                   `json:"last_request_at,omitzero" doc:"of the newest of them, also while it did not run; of a single instance"`
	Spec               *specJSON                `json:"spec,omitempty" doc:"what it was deployed with; of a single instance"`
	CreatedAt          stamp                    `json:"created_at"`
	UpdatedAt          stamp                    `json:"updated_at"`
	Revision           int64                    `json:"revision"`
}

type protectionJSON struct {
	Kind  string `json:"kind" enum:"pinned,snoozed,keep_label,rollback,tag_gone"`
	Until moment `json:"until"`
	By    string `json:"by,omitempty"`
	Why   string `json:"why,omitempty"`
}

func protectionOf(p store.Protection) nullable[protectionJSON] {
	if p.Kind == store.ProtectionNone {
		return nullable[protectionJSON]{}
	}
	return nullable[protectionJSON]{&protectionJSON{Kind: string(p.Kind), Until: moment(p.Until), By: p.By, Why: p.Why}}
}

func instanceOf(v store.InstanceView) instanceJSON {
	return instanceJSON{
		ID: v.ID, ProjectID: v.ProjectID, Project: v.Project, StageID: v.StageID, Stage: v.Stage, StageKind: string(v.StageKind),
		HostID: v.HostID, Host: v.Host, HostDisabled: moment(v.HostDisabled), Name: v.Name, ContainerID: v.ContainerID, Ownership: string(v.Ownership),
		Image: v.Image, ImageTag: v.ImageTag, ImageID: v.ImageID, Digest: v.Digest,
		Status: string(v.Status), Intended: string(v.Intended), Class: string(v.Class),
		ContainerCreatedAt: moment(v.ContainerCreatedAt), StartedAt: moment(v.StartedAt), FinishedAt: moment(v.FinishedAt),
		ExitCode: v.ExitCode, OOMKilled: v.OOMKilled, RestartCount: v.RestartCount, EngineError: v.EngineError,
		LastAliveAt: moment(v.LastAliveAt), Evidence: string(v.Evidence), UpperBound: v.UpperBound,
		Stale: !v.StaleSince.IsZero(), StaleSince: moment(v.StaleSince), StaleAfter: v.StaleAfter.String(),
		CheckedAt: moment(v.CheckedAt), CheckError: v.CheckError, HeldBack: v.HeldBack,
		Protection:   protectionOf(v.Protection(time.Now())),
		SnoozedUntil: moment(v.SnoozedUntil), SnoozedBy: v.SnoozedBy, SnoozeReason: v.SnoozeReason, TagGoneSince: moment(v.TagGoneSince),
		Bytes:     knownBytes(v.SizeRw, !v.SizeAt.IsZero()),
		CreatedAt: stamp(v.CreatedAt), UpdatedAt: stamp(v.UpdatedAt), Revision: v.Revision,
	}
}

type listInstancesIn struct {
	PageQuery
	Project string   `query:"project" maxLength:"100" doc:"id or name"`
	Stage   string   `query:"stage" maxLength:"100" doc:"id, or name together with project"`
	Host    string   `query:"host" maxLength:"100" doc:"id"`
	Status  []string `query:"status,explode" maxItems:"20" enum:"pending,pulling,starting,running,stopped,paused,restarting,dead,missing,failed,removing"`
	Text    string   `query:"text" maxLength:"200" doc:"in name, tag, image or container id"`
	Live    bool     `query:"live" doc:"ask the engine for the published ports of those that run"`
}

func (s *server) listInstances(ctx context.Context, in *listInstancesIn) (*out[list[instanceJSON]], error) {
	f := store.InstanceFilter{HostID: in.Host, Text: in.Text, Among: visible(ctx)}
	var err error
	if f.ProjectID, err = s.projectFilter(ctx, "query.project", in.Project); err != nil {
		return nil, err
	}
	if f.StageID, err = s.stageFilter(ctx, "query.stage", f.ProjectID, in.Stage); err != nil {
		return nil, err
	}
	for _, status := range in.Status {
		f.Statuses = append(f.Statuses, store.Status(status))
	}
	views, next, err := s.d.DB.Instances(ctx, f, in.page())
	if err != nil {
		return nil, err
	}
	l := listOf(views, next, instanceOf)
	if in.Live {
		s.fillPorts(ctx, views, l.Items)
	}
	return answer(l), nil
}

const (
	portsAtOnce = 8
	portsWithin = 5 * time.Second
)

// fillPorts asks the engine which ports the running ones publish. What does not
// answer in time stays without: it is an extra, and the host's page tells of the engine.
func (s *server) fillPorts(ctx context.Context, views []store.InstanceView, items []instanceJSON) {
	ctx, cancel := context.WithTimeout(ctx, portsWithin)
	defer cancel()
	var wg guard.Group
	slots := make(chan struct{}, portsAtOnce)
	for i, v := range views {
		if v.Status != store.StatusRunning || v.ContainerID == "" {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			items[i].Ports = s.portsOf(ctx, v)
		})
	}
	wg.Wait()
}

func (s *server) portsOf(ctx context.Context, v store.InstanceView) []portJSON {
	engine, err := s.d.Fleet.Engine(v.HostID)
	if err != nil {
		return nil
	}
	c, err := engine.Inspect(ctx, v.ContainerID)
	if err != nil {
		s.log.DebugContext(ctx, "ports are not known", "instance", v.ID, "error", err)
		return nil
	}
	var ports []portJSON
	for _, p := range c.Ports {
		if p.Host != 0 {
			ports = append(ports, portJSON{Container: p.Container, Host: p.Host, HostIP: p.HostIP, Protocol: p.Protocol})
		}
	}
	return ports
}

func (s *server) getInstance(ctx context.Context, in *ByID) (*versioned[instanceJSON], error) {
	v, err := s.d.DB.Instance(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	spec, err := s.d.DB.InstanceSpec(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	item := instanceOf(v)
	shown := specOf(spec, seesPlain(ctx, v.ProjectID))
	item.Spec = &shown
	if item.Domains, err = s.d.DB.RoutesOf(ctx, in.ID); err != nil {
		return nil, err
	}
	counts, err := s.requestsOf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	item.Requests, item.LastRequestAt = counts[in.ID].Requests, moment(counts[in.ID].LastAt)
	if err := s.foretell(ctx, v, &item); err != nil {
		return nil, err
	}
	one := []instanceJSON{item}
	s.fillPorts(ctx, []store.InstanceView{v}, one)
	return atRevision(one[0], v.Revision), nil
}

// foretell adds what policy makes of an instance, and how much of its age nobody watched.
func (s *server) foretell(ctx context.Context, v store.InstanceView, item *instanceJSON) error {
	views := []store.InstanceView{v}
	decisions, err := s.d.Cleaner.Decisions(ctx, views)
	if err != nil {
		return err
	}
	decision := decisionOf(decisions[0])
	item.Policy = &decision
	if v.Class == store.ClassNone {
		return nil // it is alive, or was never seen: it has no age
	}
	blind, err := s.d.Cleaner.BlindTime(ctx, views)
	if err != nil {
		return err
	}
	now := s.engineNow(v.HostID)
	item.Blind, item.BlindSeconds = blindSpansOf(blind[v.ID], v.LastAliveAt, now)
	item.BlindWords = stale.BlindEvidence(v.Instance, blind[v.ID], now)
	return nil
}

func (s *server) instanceNow(ctx context.Context, id string) (*versioned[instanceJSON], error) {
	v, err := s.d.DB.Instance(ctx, id)
	if err != nil {
		return nil, err
	}
	return atRevision(instanceOf(v), v.Revision), nil
}

func (s *server) startInstance(ctx context.Context, in *Seen) (*versioned[instanceJSON], error) {
	return s.act(ctx, in, s.d.Deployer.StartInstance)
}

func (s *server) stopInstance(ctx context.Context, in *Seen) (*versioned[instanceJSON], error) {
	return s.act(ctx, in, s.d.Deployer.StopInstance)
}

func (s *server) restartInstance(ctx context.Context, in *Seen) (*versioned[instanceJSON], error) {
	return s.act(ctx, in, s.d.Deployer.RestartInstance)
}

// actionTimeout bounds an action on one instance; a stop may wait for its whole grace.
const actionTimeout = 10 * time.Minute

// instanceSeen tells that an instance is there, and the one that was seen.
func (s *server) instanceSeen(ctx context.Context, in *Seen) error {
	v, err := s.d.DB.Instance(ctx, in.ID)
	if err != nil {
		return err
	}
	return in.check(v.Revision)
}

// act does one thing to one instance of ours. The act goes on when the caller
// leaves: half a restart is worse than one nobody waits for.
func (s *server) act(ctx context.Context, in *Seen, do func(ctx context.Context, id, actor string) error) (*versioned[instanceJSON], error) {
	if err := s.instanceSeen(ctx, in); err != nil {
		return nil, err
	}
	acting, cancel := s.beyondCaller(ctx, actionTimeout)
	defer cancel()
	if err := do(acting, in.ID, actorOf(ctx)); err != nil {
		return nil, err
	}
	return s.instanceNow(ctx, in.ID)
}

type removeInstanceIn struct {
	Seen
	Stop bool `query:"stop" doc:"stop it first if it runs"`
}

func (s *server) removeInstance(ctx context.Context, in *removeInstanceIn) (*none, error) {
	if err := s.instanceSeen(ctx, &in.Seen); err != nil {
		return nil, err
	}
	acting, cancel := s.beyondCaller(ctx, actionTimeout)
	defer cancel()
	return nil, s.d.Cleaner.Remove(acting, in.ID, actorOf(ctx), in.Stop)
}

type pinIn struct {
	Seen
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"why it is kept"`
	} `nameHint:"PinRequest"`
}

func (s *server) pinInstance(ctx context.Context, in *pinIn) (*versioned[instanceJSON], error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	return s.setPin(ctx, &in.Seen, "instance.pinned", func(i *store.Instance) {
		i.PinnedAt, i.PinnedBy, i.PinReason = time.Now().UTC(), actorOf(ctx), reason
	})
}

func (s *server) unpinInstance(ctx context.Context, in *Seen) (*versioned[instanceJSON], error) {
	return s.setPin(ctx, in, "instance.unpinned", func(i *store.Instance) {
		i.PinnedAt, i.PinnedBy, i.PinReason = time.Time{}, "", ""
	})
}

// pinTries: a scan may write the row in between, which is no reason to refuse a person.
const pinTries = 3

func (s *server) setPin(ctx context.Context, in *Seen, kind string, change func(*store.Instance)) (*versioned[instanceJSON], error) {
	err := store.ErrConflict
	for try := 0; try < pinTries && errors.Is(err, store.ErrConflict); try++ {
		err = s.d.DB.Update(ctx, func(tx *store.Tx) error { return setPin(ctx, tx, in, kind, change) })
	}
	if err != nil {
		return nil, err
	}
	return s.instanceNow(ctx, in.ID)
}

func setPin(ctx context.Context, tx *store.Tx, in *Seen, kind string, change func(*store.Instance)) error {
	v, err := tx.Instance(ctx, in.ID)
	if err != nil {
		return err
	}
	if err := in.check(v.Revision); err != nil {
		return err
	}
	if v.Status == store.StatusRemoving {
		return newProblem(http.StatusConflict, codeWrongState, "the instance is being removed")
	}
	pinned := !v.PinnedAt.IsZero()
	if pinned == (kind == "instance.pinned") {
		return nil // as asked already; whoever was first stays in the record
	}
	inst := v.Instance
	change(&inst)
	if err := tx.SetProtection(ctx, inst); err != nil {
		return err
	}
	word := "pinned"
	if pinned {
		word = "unpinned"
	}
	e := apiEvent(ctx, kind, v.Name+" was "+word)
	e.ProjectID, e.StageID, e.InstanceID, e.HostID = v.ProjectID, v.StageID, v.ID, v.HostID
	if inst.PinReason != "" {
		e.Message += ": " + inst.PinReason
	}
	return tx.Emit(ctx, e)
}

// engineOf is the engine of an instance that has a container.
func (s *server) engineOf(v store.InstanceView) (*docker.Engine, error) {
	if v.ContainerID == "" {
		return nil, newProblem(http.StatusConflict, codeWrongState, "the instance has no container yet: its status is "+string(v.Status))
	}
	return s.d.Fleet.Engine(v.HostID)
}
