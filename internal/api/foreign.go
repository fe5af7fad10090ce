package api

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/adopt"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type foreignJSON struct {
	HostID         string       `json:"host_id"`
	Host           string       `json:"host" doc:"its name"`
	ContainerID    string       `json:"container_id" doc:"full"`
	Name           string       `json:"name"`
	Image          string       `json:"image" doc:"as given when it was made"`
	State          string       `json:"state" doc:"as its engine says: running, exited, created, paused, restarting, dead, removing"`
	CreatedAt      moment       `json:"created_at"`
	ComposeProject string       `json:"compose_project,omitempty"`
	ComposeService string       `json:"compose_service,omitempty"`
	Mark           string       `json:"mark,omitempty" enum:"swarm_task,self,label_without_row,other_installation" doc:"what is particular about it: a task of Swarm; the container of docker-watcher itself; our label, but no row of ours; the label of another docker-watcher"`
	Adoptable      bool         `json:"adoptable"`
	Why            string       `json:"why,omitempty" doc:"why it can never be adopted"`
	Status         string       `json:"status,omitempty" doc:"what a scan would call it, were it ours; absent: it could not be asked about"`
	Class          string       `json:"class,omitempty" enum:"exited,failed,oom,never_started,paused,crash_looping,dead" doc:"in which way it is not alive"`
	LastAliveAt    moment       `json:"last_alive_at"`
	DaysStale      int          `json:"days_stale" doc:"whole days since it was last alive, by the engine's clock"`
	Evidence       string       `json:"evidence,omitempty" enum:"observed,finished_at,first_seen_stopped,created_at"`
	UpperBound     bool         `json:"upper_bound" doc:"last_alive_at may be later than the truth, never earlier"`
	Stale          bool         `json:"stale" doc:"by the global threshold"`
	Reason         string       `json:"reason" doc:"the same in words"`
	CheckError     string       `json:"check_error,omitempty" doc:"why it could not be asked about: nothing is known of its age"`
	Proposal       proposalJSON `json:"proposal"`
}

type proposalJSON struct {
	Project       string `json:"project"`
	Stage         string `json:"stage"`
	Kind          string `json:"kind" enum:"dev,staging,production,preview"`
	Image         string `json:"image,omitempty" doc:"repository; absent: its image has no name"`
	ImageTag      string `json:"image_tag,omitempty" doc:"or digest"`
	ProjectExists bool   `json:"project_exists"`
	StageExists   bool   `json:"stage_exists"`
}

type notAskedJSON struct {
	HostID string `json:"host_id"`
	Host   string `json:"host" doc:"its name"`
	Why    string `json:"why"`
	Hint   string `json:"hint,omitempty"`
}

type foreignList struct {
	Items      []foreignJSON  `json:"items" nullable:"false"`
	NextCursor string         `json:"next_cursor,omitempty" doc:"ask for the next page with it; absent on the last page"`
	Total      int            `json:"total" doc:"how many match all but the class, on the hosts that were asked"`
	NotAsked   []notAskedJSON `json:"not_asked" nullable:"false" doc:"hosts that could not be asked: nothing is known of what is on them"`
}

type listForeignIn struct {
	PageQuery
	Host    string   `query:"host" maxLength:"100" doc:"id or name"`
	Text    string   `query:"text" maxLength:"200" doc:"in name, image, id, compose project or service"`
	Class   []string `query:"class,explode" maxItems:"20" enum:"running,exited,failed,oom,never_started,paused,crash_looping,dead"`
	Compose string   `query:"compose" maxLength:"200" doc:"name of a compose project"`
}

// listForeign asks the hosts what is on them that is not ours. It writes nothing, and changes nothing there.
func (s *server) listForeign(ctx context.Context, in *listForeignIn) (*out[foreignList], error) {
	hostID, err := s.hostNamed(ctx, "query.host", in.Host)
	if err != nil {
		return nil, err
	}
	settings, err := s.d.DB.Settings(ctx)
	if err != nil {
		return nil, err
	}
	l, err := s.d.Adopter.Foreign(ctx, adopt.Query{HostID: hostID, Text: in.Text, Compose: in.Compose, Classes: in.Class, Page: in.page()})
	if err != nil {
		return nil, err
	}
	body := foreignList{
		Items: make([]foreignJSON, 0, len(l.Items)), NotAsked: make([]notAskedJSON, 0, len(l.NotAsked)), NextCursor: l.Next, Total: l.Total,
	}
	after := stale.Policy{Threshold: time.Duration(settings.StaleThresholdDays) * day}
	for _, f := range l.Items {
		body.Items = append(body.Items, foreignOf(f, after))
	}
	for _, n := range l.NotAsked {
		j := notAskedJSON{HostID: n.Host.ID, Host: n.Host.Name, Why: n.Err.Error(), Hint: hintEngine}
		switch {
		case errors.Is(n.Err, docker.ErrAbsent):
			j.Hint = hintDisabled
		case errors.Is(n.Err, adopt.ErrUnfit):
			j.Hint = hintFrozen
		}
		body.NotAsked = append(body.NotAsked, j)
	}
	return answer(body), nil
}

// hostNamed is the id of the host that is named by id or name; empty for no name.
func (s *server) hostNamed(ctx context.Context, location, idOrName string) (string, error) {
	if idOrName == "" {
		return "", nil
	}
	all, err := s.d.DB.Hosts(ctx)
	if err != nil {
		return "", err
	}
	h, found := chooseHost(all, idOrName)
	if !found || h.ID != idOrName && h.Name != idOrName {
		return "", invalid(location, "there is no such host")
	}
	return h.ID, nil
}

func foreignOf(f adopt.Foreign, after stale.Policy) foreignJSON {
	j := foreignJSON{
		HostID: f.Host.ID, Host: f.Host.Name, ContainerID: f.ID, Name: f.Name, Image: f.Image, State: string(f.State), CreatedAt: moment(f.CreatedAt),
		ComposeProject: f.Compose, ComposeService: f.Service, Mark: string(f.Mark), Why: f.Why(), CheckError: f.Seen.CheckError,
		Proposal: proposalJSON{
			Project: f.Proposal.Project, Stage: f.Proposal.Stage, Kind: string(f.Proposal.Kind), Image: f.Proposal.Image, ImageTag: f.Proposal.Tag,
			ProjectExists: f.Proposal.ProjectKnown, StageExists: f.Proposal.StageKnown,
		},
	}
	j.Adoptable = j.Why == ""
	if f.Seen.CheckError != "" {
		j.Reason = "it could not be asked: " + f.Seen.CheckError
		return j
	}
	v := stale.Judge(stale.FactsOf(f.Seen, f.Now), after, f.Now)
	j.Status, j.Class, j.LastAliveAt, j.DaysStale = string(f.Seen.Status), string(v.Class), moment(v.LastAlive), v.DaysStale
	j.Evidence, j.UpperBound, j.Stale, j.Reason = string(v.Evidence), v.UpperBound, v.Stale, v.Reason
	return j
}

type adoptIn struct {
	Body struct {
		Items   []adoptItem   `json:"items,omitempty" maxItems:"100" doc:"which containers, and where to"`
		Compose *adoptCompose `json:"compose,omitempty" doc:"all that a compose project has on a host; what items do not name goes where it is proposed to, and what can never be adopted is left out"`
		Make    bool          `json:"make,omitempty" doc:"projects and stages that do not exist may be made"`
		DryRun  bool          `json:"dry_run,omitempty" doc:"tell what would be made, and make nothing"`
	} `nameHint:"AdoptRequest"`
}

type adoptItem struct {
	HostID      string `json:"host_id" minLength:"1" maxLength:"100" doc:"id or name"`
	ContainerID string `json:"container_id" minLength:"1" maxLength:"200" doc:"full: 64 hex digits"`
	Project     string `json:"project" minLength:"1" maxLength:"63" doc:"id or name"`
	Stage       string `json:"stage" minLength:"1" maxLength:"63" doc:"its name in the project"`
	Kind        string `json:"kind,omitempty" enum:"dev,staging,production,preview" doc:"of a stage that is made; default production"`
	StaleAfter  string `json:"stale_after,omitempty" maxLength:"20" doc:"of a stage that is made: 10s, 36h, 7d or never; absent: as the project"`
	Image       string `json:"image,omitempty" maxLength:"255" doc:"repository of a project that is made; absent: the container's"`
}

type adoptCompose struct {
	HostID  string `json:"host_id" minLength:"1" maxLength:"100" doc:"id or name"`
	Project string `json:"project" minLength:"1" maxLength:"200"`
}

type adoptionJSON struct {
	DryRun  bool          `json:"dry_run" doc:"nothing was made"`
	Items   []adoptedJSON `json:"items" nullable:"false"`
	LeftOut []leftOutJSON `json:"left_out" nullable:"false" doc:"of a compose project: what can never be adopted"`
}

type leftOutJSON struct {
	HostID      string `json:"host_id"`
	Host        string `json:"host" doc:"its name"`
	ContainerID string `json:"container_id"`
	Name        string `json:"name" doc:"of the container"`
	Why         string `json:"why"`
}

type adoptedJSON struct {
	InstanceID   string   `json:"instance_id,omitempty" doc:"absent in a dry run"`
	HostID       string   `json:"host_id"`
	Host         string   `json:"host" doc:"its name"`
	ContainerID  string   `json:"container_id"`
	Name         string   `json:"name" doc:"of the container"`
	Project      string   `json:"project" doc:"its name"`
	ProjectID    string   `json:"project_id,omitempty"`
	Stage        string   `json:"stage" doc:"its name"`
	StageID      string   `json:"stage_id,omitempty"`
	StageKind    string   `json:"stage_kind" enum:"dev,staging,production,preview"`
	MakesProject bool     `json:"makes_project" doc:"the project did not exist before"`
	MakesStage   bool     `json:"makes_stage"`
	Image        string   `json:"image"`
	ImageTag     string   `json:"image_tag"`
	Status       string   `json:"status"`
	Class        string   `json:"class,omitempty"`
	LastAliveAt  moment   `json:"last_alive_at"`
	DaysStale    int      `json:"days_stale"`
	Evidence     string   `json:"evidence,omitempty"`
	StaleAfter   string   `json:"stale_after" doc:"the threshold in force for it"`
	Stale        bool     `json:"stale" doc:"the next scan calls it stale"`
	Reason       string   `json:"reason"`
	Spec         specJSON `json:"spec" doc:"as far as the next deploy can make it again"`
	Left         []string `json:"left" nullable:"false" doc:"what the next deploy would do without; an undo makes it whole"`
	Warnings     []string `json:"warnings" nullable:"false"`
}

func adoptedOf(ctx context.Context, d adopt.Adopted) adoptedJSON {
	i := d.Instance
	v := stale.Judge(stale.FactsOf(i, d.Now), stale.PolicyOf(d.StaleAfter), d.Now)
	return adoptedJSON{
		InstanceID: i.ID, HostID: d.Host.ID, Host: d.Host.Name, ContainerID: i.ContainerID, Name: i.Name,
		Project: d.Project.Name, ProjectID: d.Project.ID, Stage: d.Stage.Name, StageID: d.Stage.ID, StageKind: string(d.Stage.Kind),
		MakesProject: d.MadeProject, MakesStage: d.MadeStage, Image: i.Image, ImageTag: i.ImageTag,
		Status: string(i.Status), Class: string(v.Class), LastAliveAt: moment(v.LastAlive), DaysStale: v.DaysStale, Evidence: string(v.Evidence),
		StaleAfter: d.StaleAfter.String(), Stale: v.Stale, Reason: v.Reason, Spec: specOf(i.Spec, seesPlain(ctx, d.Project.ID)),
		Left: append([]string{}, d.Left...), Warnings: append([]string{}, d.Warnings...),
	}
}

// adoptContainers takes containers over, all or nothing, or tells what that would make.
func (s *server) adoptContainers(ctx context.Context, in *adoptIn) (*out[adoptionJSON], error) {
	r, err := s.readAdoption(ctx, in)
	if err != nil {
		return nil, err
	}
	done, err := s.d.Adopter.Adopt(ctx, r)
	if err != nil {
		return nil, wrongFields("body", err)
	}
	body := adoptionJSON{DryRun: r.DryRun, Items: make([]adoptedJSON, 0, len(done.Items)), LeftOut: make([]leftOutJSON, 0, len(done.Left))}
	for _, d := range done.Items {
		body.Items = append(body.Items, adoptedOf(ctx, d))
	}
	for _, f := range done.Left {
		body.LeftOut = append(body.LeftOut, leftOutJSON{HostID: f.Host.ID, Host: f.Host.Name, ContainerID: f.ID, Name: f.Name, Why: f.Why()})
	}
	if !r.DryRun && slices.ContainsFunc(done.Items, func(d adopt.Adopted) bool { return d.MadeStage }) {
		s.thresholdsChanged(ctx)
	}
	return answer(body), nil
}

func (s *server) readAdoption(ctx context.Context, in *adoptIn) (adopt.Request, error) {
	v := visitOf(ctx)
	r := adopt.Request{Make: in.Body.Make, DryRun: in.Body.DryRun, By: adopt.By{Actor: v.caller.Actor, Addr: v.addr}}
	var err error
	if c := in.Body.Compose; c != nil {
		r.Whole.Project = c.Project
		if r.Whole.HostID, err = s.hostNamed(ctx, "body.compose.host_id", c.HostID); err != nil {
			return r, err
		}
	}
	for n, i := range in.Body.Items {
		where := "body.items[" + strconv.Itoa(n) + "]"
		w := adopt.Wish{ContainerID: i.ContainerID, Project: i.Project, Stage: i.Stage, Kind: store.StageKind(i.Kind), Image: i.Image}
		if w.HostID, err = s.hostNamed(ctx, where+".host_id", i.HostID); err != nil {
			return r, err
		}
		if i.StaleAfter != "" {
			after, err := store.ParseStaleAfter(i.StaleAfter)
			if err != nil {
				return r, invalid(where+".stale_after", err.Error())
			}
			w.StaleAfter = &after
		}
		r.Items = append(r.Items, w)
	}
	return r, nil
}

// unadoptInstance gives an adopted container back. It is not touched, and neither is its engine asked.
func (s *server) unadoptInstance(ctx context.Context, in *Seen) (*none, error) {
	if err := s.instanceSeen(ctx, in); err != nil {
		return nil, err
	}
	v := visitOf(ctx)
	return nil, s.d.Adopter.Unadopt(ctx, in.ID, adopt.By{Actor: v.caller.Actor, Addr: v.addr})
}
