package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/compose"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type importComposeIn struct {
	Body struct {
		Text           string            `json:"text" minLength:"1" doc:"the compose file, at most 1 MiB; no other file is read"`
		Values         map[string]string `json:"values,omitempty" doc:"of its variables: nobody's environment is read"`
		ComposeProject string            `json:"compose_project,omitempty" maxLength:"100" doc:"what compose calls networks and volumes after; absent: the file's name:"`
		DryRun         bool              `json:"dry_run,omitempty" doc:"tell only; nothing is written"`

		Service string `json:"service,omitempty" maxLength:"200" doc:"the one to import; absent: the only one"`
		Project string `json:"project,omitempty" maxLength:"100" doc:"id or name; made if there is none of that name"`
		Stage   string `json:"stage,omitempty" maxLength:"63" doc:"its name; made if there is none, else its spec is replaced"`
		Kind    string `json:"kind,omitempty" enum:"dev,staging,production,preview" doc:"of a new stage; absent: as its name says, or dev"`
		HostID  string `json:"host_id,omitempty" maxLength:"100" doc:"of a new stage, id or name; absent: the host of --docker-host, or the only one"`
		Accept  bool   `json:"accept,omitempty" doc:"what does not come along was seen, and may be lost"`
	}
}

// composeImportJSON is what a compose file would become, or became.
type composeImportJSON struct {
	ComposeProject string               `json:"compose_project,omitempty"`
	Services       []composeServiceJSON `json:"services" nullable:"false"`
	Variables      []variableJSON       `json:"variables" nullable:"false"`
	Notes          []composeNoteJSON    `json:"notes" nullable:"false" doc:"on what stands outside of services"`
	Stage          *stageJSON           `json:"stage,omitempty" doc:"that was made or changed; absent in a dry run"`
}

type composeServiceJSON struct {
	Name    string            `json:"name"`
	Line    int               `json:"line"`
	Image   string            `json:"image,omitempty" doc:"repository"`
	Tag     string            `json:"tag,omitempty" doc:"to deploy after the import"`
	Project string            `json:"project" doc:"proposed"`
	Stage   string            `json:"stage" doc:"proposed"`
	Spec    specJSON          `json:"spec"`
	Power   []string          `json:"power" nullable:"false" doc:"which power over the host its container would get"`
	Blocked bool              `json:"blocked" doc:"something must be mended before it can be imported"`
	Notes   []composeNoteJSON `json:"notes" nullable:"false"`
}

type composeNoteJSON struct {
	Kind   string `json:"kind" enum:"blocked,unsupported,told" doc:"blocked: to be mended first; unsupported: it does not come along; told: it does, in another way"`
	Line   int    `json:"line" doc:"from 1"`
	Key    string `json:"key,omitempty"`
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

type variableJSON struct {
	Name    string `json:"name"`
	Line    int    `json:"line" doc:"of its first use"`
	Given   bool   `json:"given" doc:"a value was sent"`
	Default bool   `json:"default" doc:"it does without one"`
}

// importCompose tells what a compose file would become, or makes one service of it a stage.
func (s *server) importCompose(ctx context.Context, in *importComposeIn) (*out[composeImportJSON], error) {
	file, err := compose.Read(in.Body.Text, compose.Options{Values: in.Body.Values, Project: in.Body.ComposeProject})
	var unread *compose.Error
	switch {
	case errors.As(err, &unread):
		return nil, invalid("body.text", unread.Error()).hint(unread.Remedy)
	case err != nil:
		return nil, err
	}
	for i := range file.Services {
		checkImported(&file.Services[i])
	}
	told := composeImportOf(file)
	if in.Body.DryRun {
		return answer(told), nil
	}
	service, err := chosenService(in, file)
	if err != nil {
		return nil, err
	}
	stage, err := s.applyImport(ctx, in, service)
	if err != nil {
		return nil, err
	}
	now, err := s.getStage(ctx, &ByID{ID: stage.ID})
	if err != nil {
		return nil, err
	}
	told.Stage = &now.Body
	return answer(told), nil
}

// checkImported notes what a stage would refuse of a service.
func checkImported(s *compose.Service) {
	block := func(key string, err error) {
		for _, f := range fieldsOf("", err) {
			what := strings.TrimPrefix(f.Message, "invalid ")
			s.Notes = append(s.Notes, compose.Note{Kind: compose.Blocked, Line: s.Line, Key: key, What: what, Remedy: "mend it in the file"})
		}
	}
	if s.Image != "" {
		if err := deploy.ValidateReference(s.Image, s.Tag); err != nil {
			block("image", err)
		}
	}
	if err := deploy.ValidateSpec(s.Spec); err != nil {
		block("", err)
	}
}

func composeImportOf(f compose.File) composeImportJSON {
	j := composeImportJSON{
		ComposeProject: f.Name, Services: make([]composeServiceJSON, 0, len(f.Services)), Variables: make([]variableJSON, 0, len(f.Variables)), Notes: notesOf(f.Notes),
	}
	for _, v := range f.Variables {
		j.Variables = append(j.Variables, variableJSON(v))
	}
	for _, s := range f.Services {
		power := deploy.Dangerous(s.Spec)
		if power == nil {
			power = []string{}
		}
		j.Services = append(j.Services, composeServiceJSON{
			Name: s.Name, Line: s.Line, Image: s.Image, Tag: s.Tag, Project: proposedProject(f, s), Stage: "production",
			Spec: specOf(s.Spec, false), Power: power, Blocked: s.Blocked(), Notes: notesOf(s.Notes),
		})
	}
	return j
}

func notesOf(notes []compose.Note) []composeNoteJSON {
	all := make([]composeNoteJSON, 0, len(notes))
	for _, n := range notes {
		all = append(all, composeNoteJSON{Kind: string(n.Kind), Line: n.Line, Key: n.Key, What: n.What, Remedy: n.Remedy})
	}
	return all
}

// proposedProject is a name for the project of a service: its own, after that of the file where it has more than one.
func proposedProject(f compose.File, s compose.Service) string {
	name := s.Name
	if len(f.Services) > 1 && f.Name != "" && f.Name != s.Name {
		name = f.Name + "-" + s.Name
	}
	var made strings.Builder
	for _, c := range strings.ToLower(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			made.WriteRune(c)
		case made.Len() > 0 && !strings.HasSuffix(made.String(), "-"):
			made.WriteByte('-')
		}
	}
	slug := made.String()
	return strings.TrimSuffix(slug[:min(len(slug), 63)], "-")
}

// chosenService is the one to import, if it can be.
func chosenService(in *importComposeIn, f compose.File) (compose.Service, error) {
	var names []string
	for _, s := range f.Services {
		names = append(names, s.Name)
	}
	at := slices.Index(names, in.Body.Service)
	switch {
	case in.Body.Service == "" && len(names) == 1:
		at = 0
	case in.Body.Service == "":
		return compose.Service{}, invalid("body.service", "say which one: "+strings.Join(names, ", "))
	case at < 0:
		return compose.Service{}, invalid("body.service", "there is no service "+in.Body.Service+": there is "+strings.Join(names, ", "))
	}
	s := f.Services[at]
	if s.Blocked() {
		return s, refusedLines(http.StatusUnprocessableEntity, codeInvalid, "the service "+s.Name+" cannot be imported as it is, nothing was done", s.Notes, compose.Blocked)
	}
	lost := append(slices.Clone(f.Notes), s.Notes...)
	if !in.Body.Accept && slices.ContainsFunc(lost, func(n compose.Note) bool { return n.Kind == compose.Unsupported }) {
		return s, refusedLines(http.StatusConflict, codeNotAccepted, "some lines of the file would not come along, nothing was done", lost, compose.Unsupported).
			hint("send accept: true if they may be lost")
	}
	return s, nil
}

// refusedLines names each line that is in the way.
func refusedLines(status int, code, detail string, notes []compose.Note, kind compose.Kind) *Problem {
	p := newProblem(status, code, detail)
	for _, n := range notes {
		if n.Kind != kind {
			continue
		}
		text := fmt.Sprintf("line %d: %s: %s", n.Line, n.Key, n.What)
		if n.Remedy != "" {
			text += ": " + n.Remedy
		}
		p = p.field("body.text", text)
	}
	return p
}

// applyImport makes what is not there yet of project and stage, and gives the stage the spec of the service: all or nothing.
func (s *server) applyImport(ctx context.Context, in *importComposeIn, service compose.Service) (store.Stage, error) {
	project, fresh, err := s.importProject(ctx, in.Body.Project, service)
	if err != nil {
		return store.Stage{}, err
	}
	stage, was, err := s.importStage(ctx, in, project, fresh)
	if err != nil {
		return stage, err
	}
	stage.Spec = service.Spec
	if err := s.mayUse(ctx, stage.Spec, was.Spec); err != nil {
		return stage, err
	}
	if err := checkStrategy(stage); err != nil {
		return stage, err
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if fresh {
			if err := tx.InsertProject(ctx, project); err != nil {
				return err
			}
			if err := tx.Emit(ctx, projectEvent(ctx, project, "project.created", "project "+project.Name+" was made")); err != nil {
				return err
			}
		}
		write, kind, what := tx.InsertStage, "stage.created", " was made"
		if was.ID != "" {
			write, kind, what = tx.UpdateStage, "stage.updated", " was changed"
		}
		if err := write(ctx, stage); err != nil {
			return err
		}
		e := specEvent(stageEvent(ctx, stage, kind, "stage "+project.Name+"/"+stage.Name+what+" by importing the compose service "+service.Name), stage.Spec, was.Spec)
		if e.Data == nil {
			e.Data = map[string]any{}
		}
		e.Data["compose_service"] = service.Name
		return tx.Emit(ctx, e)
	})
	if err != nil {
		if fresh {
			err = s.projectTaken(ctx, project, err)
		}
		return stage, s.stageTaken(ctx, stage, err)
	}
	s.pollSoon(stage)
	return stage, nil
}

// importProject finds the project, which must follow the image of the service, or describes a new one.
func (s *server) importProject(ctx context.Context, idOrName string, service compose.Service) (p store.Project, fresh bool, err error) {
	if idOrName == "" {
		return p, false, invalid("body.project", "say which project, by its name")
	}
	p, err = s.findProject(ctx, idOrName)
	switch {
	case errors.Is(err, store.ErrNotFound):
		p = store.Project{ID: store.NewID(), Name: idOrName, Image: service.Image, Revision: 1}
		if err := store.ValidName(p.Name); err != nil {
			return p, true, invalid("body.project", err.Error())
		}
		return p, true, nil
	case err != nil:
		return p, false, err
	case p.Image != service.Image:
		return p, false, invalid("body.project", fmt.Sprintf("project %s deploys %s, and the service %s is of %s: name another project", p.Name, p.Image, service.Name, service.Image))
	}
	return p, false, nil
}

// importStage finds the stage, or describes a new one; was is empty then.
func (s *server) importStage(ctx context.Context, in *importComposeIn, p store.Project, fresh bool) (st, was store.Stage, err error) {
	name := in.Body.Stage
	if err := store.ValidName(name); err != nil {
		return st, was, invalid("body.stage", err.Error())
	}
	if !fresh {
		was, err = s.d.DB.StageByName(ctx, p.ID, name)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return was, was, err
		}
		was = store.Stage{}
	}
	hostID, err := s.hostFor(ctx, in.Body.HostID)
	if err != nil {
		return st, was, err
	}
	return store.Stage{
		ID: store.NewID(), ProjectID: p.ID, HostID: hostID, Name: name, Kind: importedKind(in.Body.Kind, name), KeepLast: defaultKeepLast,
		Drain: defaultDrain, Strategy: store.StrategyReplace, ParallelMax: defaultParallel, Revision: 1,
	}, was, nil
}

func importedKind(asked, name string) store.StageKind {
	kind := store.StageKind(asked)
	if asked == "" {
		kind = store.StageKind(name)
	}
	switch kind {
	case store.StageDev, store.StageStaging, store.StageProduction, store.StagePreview:
		return kind
	}
	return store.StageDev
}
