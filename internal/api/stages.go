package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type stageJSON struct {
	ID         string  `json:"id"`
	ProjectID  string  `json:"project_id"`
	Project    string  `json:"project" doc:"its name"`
	HostID     string  `json:"host_id"`
	Host       string  `json:"host" doc:"its name"`
	Name       string  `json:"name"`
	Kind       string  `json:"kind" enum:"dev,staging,production,preview"`
	StaleAfter *string `json:"stale_after" doc:"10s, 36h, 7d or never; null: as the project"`
	KeepLast   *int    `json:"keep_last" doc:"good former instances kept for rollback; null: as its policy says"`
	Drain      string  `json:"drain" doc:"how long a former instance runs on after its routes lead to the new one"`
	Strategy   string  `json:"strategy" enum:"replace,parallel" doc:"one instance that the next replaces, or one of each tag side by side"`
	// Of the strategy parallel only.
	ParallelMax int      `json:"parallel_max" doc:"the most tags side by side; the oldest gives way"`
	Domain      string   `json:"domain" doc:"template of the domain of each tag; empty: none"`
	Spec        specJSON `json:"spec"`
	Following
	CreatedAt stamp `json:"created_at"`
	UpdatedAt stamp `json:"updated_at"`
	Revision  int64 `json:"revision"`
}

func stageOf(st store.Stage, project, host string, poll store.StagePoll, plain bool) stageJSON {
	return stageJSON{
		ID: st.ID, ProjectID: st.ProjectID, Project: project, HostID: st.HostID, Host: host, Name: st.Name, Kind: string(st.Kind),
		StaleAfter: staleAfterText(st.StaleAfter), KeepLast: keepLastOf(st.KeepLast), Drain: st.Drain.String(),
		Strategy: string(st.Strategy), ParallelMax: st.ParallelMax, Domain: st.Domain, Spec: specOf(st.Spec, plain),
		Following: followingOf(st, poll),
		CreatedAt: stamp(st.CreatedAt), UpdatedAt: stamp(st.UpdatedAt), Revision: st.Revision,
	}
}

// keepLastOf is null while the policy decides.
func keepLastOf(n int) *int {
	if n == store.KeepInherit {
		return nil
	}
	return &n
}

// checkStrategy tells each field apart in which a stage and its strategy do not fit together.
func checkStrategy(st store.Stage) error { return wrongFields("body", deploy.ValidateStage(st)) }

type listStagesIn struct {
	Project string `query:"project" maxLength:"100" doc:"id or name; absent: of all projects"`
}

func (s *server) listStages(ctx context.Context, in *listStagesIn) (*out[list[stageJSON]], error) {
	projectID, err := s.projectFilter(ctx, "query.project", in.Project)
	if err != nil {
		return nil, err
	}
	stages, err := s.d.DB.StagesAmong(ctx, visible(ctx), projectID)
	if err != nil {
		return nil, err
	}
	polls, err := s.d.DB.StagePolls(ctx)
	if err != nil {
		return nil, err
	}
	l := list[stageJSON]{Items: make([]stageJSON, 0, len(stages))}
	hostNames, err := s.hostNames(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, st := range stages {
		if _, known := names[st.ProjectID]; !known {
			p, err := s.d.DB.Project(ctx, st.ProjectID)
			if err != nil {
				return nil, err
			}
			names[p.ID] = p.Name
		}
		l.Items = append(l.Items, stageOf(st, names[st.ProjectID], hostNames[st.HostID], polls[st.ID], seesPlain(ctx, st.ProjectID)))
	}
	return answer(l), nil
}

func (s *server) getStage(ctx context.Context, in *ByID) (*versioned[stageJSON], error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.d.DB.Project(ctx, st.ProjectID)
	if err != nil {
		return nil, err
	}
	polls, err := s.d.DB.StagePolls(ctx, st.ID)
	if err != nil {
		return nil, err
	}
	h, err := s.d.DB.Host(ctx, st.HostID)
	if err != nil {
		return nil, err
	}
	return atRevision(stageOf(st, p.Name, h.Name, polls[st.ID], seesPlain(ctx, st.ProjectID)), st.Revision), nil
}

const (
	defaultKeepLast = 2
	defaultDrain    = 10 * time.Second
	defaultParallel = 10
	longestDrain    = 10 * time.Minute
)

// readDrain reads how long a former instance drains.
func readDrain(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > longestDrain {
		return 0, invalid("body.drain", "a duration from 0s to 10m, such as 10s")
	}
	return d, nil
}

type createStageIn struct {
	Body struct {
		ProjectID  string `json:"project_id" minLength:"1" maxLength:"100" doc:"id or name of the project"`
		HostID     string `json:"host_id,omitempty" maxLength:"100" doc:"id or name; absent: the host of --docker-host, or the only one"`
		Name       string `json:"name" pattern:"^[a-z0-9][a-z0-9-]{0,62}$" doc:"unique in its project"`
		Kind       string `json:"kind" enum:"dev,staging,production,preview"`
		StaleAfter string `json:"stale_after,omitempty" maxLength:"20" doc:"10s, 36h, 7d or never; absent: as the project"`
		KeepLast   *int   `json:"keep_last,omitempty" minimum:"0" maximum:"100" doc:"default 2"`
		Drain      string `json:"drain,omitempty" maxLength:"20" doc:"how long a former instance runs on after its routes lead to the new one: 0s to 10m, default 10s"`

		Strategy    string    `json:"strategy,omitempty" enum:"replace,parallel" doc:"default replace"`
		ParallelMax *int      `json:"parallel_max,omitempty" minimum:"1" maximum:"100" doc:"of the strategy parallel: the most tags side by side, default 10"`
		Domain      string    `json:"domain,omitempty" maxLength:"253" doc:"of the strategy parallel: such as {{tag}}.{{project}}.example.com"`
		Spec        *specJSON `json:"spec,omitempty"`
		NewFollowing
	}
}

func (s *server) createStage(ctx context.Context, in *createStageIn) (*versioned[stageJSON], error) {
	p, err := s.findProject(ctx, in.Body.ProjectID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalid("body.project_id", "there is no such project")
	}
	if err != nil {
		return nil, err
	}
	hostID, err := s.hostFor(ctx, in.Body.HostID)
	if err != nil {
		return nil, err
	}
	st := store.Stage{
		ID: store.NewID(), ProjectID: p.ID, HostID: hostID, Name: in.Body.Name, Kind: store.StageKind(in.Body.Kind), KeepLast: defaultKeepLast,
		Drain: defaultDrain, Strategy: store.Strategy(cmp.Or(in.Body.Strategy, string(store.StrategyReplace))), ParallelMax: defaultParallel,
		Domain: in.Body.Domain, Revision: 1, // a client sends 0 for "whatever it is now"
	}
	setIf(&st.KeepLast, in.Body.KeepLast)
	setIf(&st.ParallelMax, in.Body.ParallelMax)
	if st.StaleAfter, err = readStaleAfter(in.Body.StaleAfter); err != nil {
		return nil, err
	}
	if in.Body.Drain != "" {
		if st.Drain, err = readDrain(in.Body.Drain); err != nil {
			return nil, err
		}
	}
	if in.Body.Spec != nil {
		if st.Spec, err = in.Body.Spec.read(store.Spec{}); err != nil {
			return nil, err
		}
		if err := s.mayUse(ctx, st.Spec, store.Spec{}); err != nil {
			return nil, err
		}
	}
	if err := in.Body.apply(&st); err != nil {
		return nil, err
	}
	if err := checkStrategy(st); err != nil {
		return nil, err
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertStage(ctx, st); err != nil {
			return err
		}
		e := specEvent(stageEvent(ctx, st, "stage.created", "stage "+p.Name+"/"+st.Name+" was made"), st.Spec, store.Spec{})
		if st.TagRule != nil {
			e.Data["tag_rule"], e.Data["mode"] = st.TagRule.String(), string(st.Mode)
		}
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return nil, s.stageTaken(ctx, st, err)
	}
	if st.StaleAfter != nil {
		s.thresholdsChanged(ctx)
	}
	s.pollSoon(st)
	return s.getStage(ctx, &ByID{ID: st.ID})
}

// hostFor is the id of the host that a stage is to run on.
func (s *server) hostFor(ctx context.Context, idOrName string) (string, error) {
	all, err := s.d.DB.Hosts(ctx)
	if err != nil {
		return "", err
	}
	h, found := chooseHost(all, idOrName)
	switch {
	case !found && idOrName != "":
		return "", invalid("body.host_id", "there is no such host")
	case !found:
		return "", invalid("body.host_id", "say which host: there is not just one")
	case !h.DisabledSince.IsZero():
		return "", newProblem(http.StatusConflict, codeHostDisabled, "host "+h.Name+" is disabled").hint("name another host_id, or have it enabled first")
	}
	return h.ID, nil
}

// chooseHost finds a host by id or name; without one it is the only one, or the daemon's own.
func chooseHost(all []store.Host, idOrName string) (store.Host, bool) {
	if idOrName == "" && len(all) == 1 {
		return all[0], true
	}
	want := cmp.Or(idOrName, store.LocalHost)
	at := slices.IndexFunc(all, func(h store.Host) bool { return h.ID == want || h.Name == want })
	if at < 0 {
		return store.Host{}, false
	}
	return all[at], true
}

type updateStageIn struct {
	ByID
	Match
	Body struct {
		Name       *string          `json:"name,omitempty" pattern:"^[a-z0-9][a-z0-9-]{0,62}$"`
		Kind       *string          `json:"kind,omitempty" enum:"dev,staging,production,preview"`
		StaleAfter optional[string] `json:"stale_after,omitzero" maxLength:"20" doc:"null: as the project"`
		KeepLast   optional[int]    `json:"keep_last,omitzero" minimum:"0" maximum:"100" doc:"null: as its policy says"`
		Drain      *string          `json:"drain,omitempty" maxLength:"20" doc:"0s to 10m"`

		Strategy    *string   `json:"strategy,omitempty" enum:"replace,parallel"`
		ParallelMax *int      `json:"parallel_max,omitempty" minimum:"1" maximum:"100"`
		Domain      *string   `json:"domain,omitempty" maxLength:"253" doc:"empty: none"`
		Spec        *specJSON `json:"spec,omitempty" doc:"whole"`
		FollowingChange
	}
}

func (s *server) updateStage(ctx context.Context, in *updateStageIn) (*versioned[stageJSON], error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(st.Revision); err != nil {
		return nil, err
	}
	was := st
	setIf(&st.Name, in.Body.Name)
	switch {
	case in.Body.KeepLast.null:
		st.KeepLast = store.KeepInherit
	case in.Body.KeepLast.set:
		st.KeepLast = in.Body.KeepLast.value
	}
	if in.Body.Kind != nil {
		st.Kind = store.StageKind(*in.Body.Kind)
	}
	if err := changeStaleAfter(&st.StaleAfter, in.Body.StaleAfter); err != nil {
		return nil, err
	}
	if err := in.Body.apply(&st); err != nil {
		return nil, err
	}
	if in.Body.Drain != nil {
		if st.Drain, err = readDrain(*in.Body.Drain); err != nil {
			return nil, err
		}
	}
	if in.Body.Strategy != nil {
		st.Strategy = store.Strategy(*in.Body.Strategy)
	}
	setIf(&st.ParallelMax, in.Body.ParallelMax)
	setIf(&st.Domain, in.Body.Domain)
	if in.Body.Spec != nil {
		spec, err := in.Body.Spec.read(st.Spec)
		if err != nil {
			return nil, err
		}
		if err := s.mayUse(ctx, spec, st.Spec); err != nil {
			return nil, err
		}
		st.Spec = spec
	}
	if err := checkStrategy(st); err != nil {
		return nil, err
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.UpdateStage(ctx, st); err != nil {
			return err
		}
		return tx.Emit(ctx, specEvent(changedStage(stageEvent(ctx, st, "stage.updated", "stage "+st.Name+" was changed"), was, st), st.Spec, was.Spec))
	})
	if err != nil {
		return nil, s.stageTaken(ctx, st, err)
	}
	if in.Body.StaleAfter.set || st.Kind != was.Kind || st.KeepLast != was.KeepLast || st.Strategy != was.Strategy {
		s.thresholdsChanged(ctx)
	}
	s.pollSoon(st)
	return s.getStage(ctx, &in.ByID)
}

func (s *server) deleteStage(ctx context.Context, in *Seen) (*none, error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if st, err = tx.Stage(ctx, st.ID); err != nil {
			return err
		}
		if err := in.check(st.Revision); err != nil {
			return err
		}
		if err := tx.DeleteStage(ctx, st.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, stageEvent(ctx, st, "stage.deleted", "stage "+st.Name+" was removed"))
	})
}

func stageEvent(ctx context.Context, st store.Stage, kind, message string) store.Event {
	e := apiEvent(ctx, kind, message)
	e.ProjectID, e.StageID, e.HostID = st.ProjectID, st.ID, st.HostID
	return e
}

// specEvent adds to the event of a change what power over the host its spec newly gives to containers.
func specEvent(e store.Event, spec, former store.Spec) store.Event {
	if why := freshPower(spec, former); len(why) > 0 {
		e.Severity = store.SeverityWarn
		e.Message += "; its containers get power over the host: " + strings.Join(why, ", ")
	}
	return e
}

// stageTaken says of a conflict, in words, that another stage of the project has the name, if that is what it is.
func (s *server) stageTaken(ctx context.Context, st store.Stage, err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	if other, lookErr := s.d.DB.StageByName(ctx, st.ProjectID, st.Name); lookErr != nil || other.ID == st.ID {
		return err
	}
	return newProblem(http.StatusConflict, codeConflict, "the project has a stage "+st.Name+" already")
}

// projectFilter is the id of the project that a filter names by id or name.
func (s *server) projectFilter(ctx context.Context, location, idOrName string) (string, error) {
	if idOrName == "" {
		return "", nil
	}
	p, err := s.findProject(ctx, idOrName)
	if errors.Is(err, store.ErrNotFound) || err == nil && !visible(ctx).Has(p.ID) {
		return "", invalid(location, "there is no project "+idOrName)
	}
	return p.ID, err
}

// stageFilter is the id of the stage that a filter names: by id, or by name within a project.
func (s *server) stageFilter(ctx context.Context, location, projectID, idOrName string) (string, error) {
	if idOrName == "" {
		return "", nil
	}
	st, err := s.d.DB.Stage(ctx, idOrName)
	if errors.Is(err, store.ErrNotFound) && projectID != "" {
		st, err = s.d.DB.StageByName(ctx, projectID, idOrName)
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !visible(ctx).Has(st.ProjectID) {
		return "", newProblem(http.StatusUnprocessableEntity, codeInvalid, "the request is invalid, nothing was done").
			field(location, "there is no stage "+idOrName).hint("a stage's name needs its project beside it")
	}
	return st.ID, err
}
