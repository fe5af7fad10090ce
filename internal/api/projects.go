package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type projectJSON struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Image      string  `json:"image" doc:"repository without a tag"`
	StaleAfter *string `json:"stale_after" doc:"10s, 36h, 7d or never; null: the global threshold"`
	CreatedAt  stamp   `json:"created_at"`
	UpdatedAt  stamp   `json:"updated_at"`
	Revision   int64   `json:"revision"`
}

func projectOf(p store.Project) projectJSON {
	return projectJSON{
		ID: p.ID, Name: p.Name, Image: p.Image, StaleAfter: staleAfterText(p.StaleAfter),
		CreatedAt: stamp(p.CreatedAt), UpdatedAt: stamp(p.UpdatedAt), Revision: p.Revision,
	}
}

func staleAfterText(s *store.StaleAfter) *string {
	if s == nil {
		return nil
	}
	text := s.String()
	return &text
}

// versioned is an answer about something that changes, with its revision as ETag.
type versioned[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

func atRevision[T any](body T, revision int64) *versioned[T] {
	return tagged(body, strconv.FormatInt(revision, 10))
}

// tagged is the same where a revision is a text.
func tagged[T any](body T, revision string) *versioned[T] {
	return &versioned[T]{ETag: strconv.Quote(revision), Body: body}
}

// Match is the header by which a change asks for the revision that was seen.
type Match struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"the ETag that was seen: of another one nothing is done (412). Absent: it is done whatever it is now"`
}

func (m Match) check(revision int64) error {
	return m.checkText(strconv.FormatInt(revision, 10))
}

func (m Match) checkText(revision string) error {
	if seen := m.seen(); seen == "" || seen == revision {
		return nil
	}
	return newProblem(http.StatusPreconditionFailed, codeRevision, "it was changed meanwhile: the revision is "+revision).hint(hintChanged)
}

// seen is the revision that is asked for; empty: whatever it is now.
func (m Match) seen() string {
	if m.IfMatch == "*" {
		return ""
	}
	if seen := strings.Trim(m.IfMatch, `"`); seen != "" {
		return seen
	}
	return m.IfMatch // "" in quotes, as of a script whose variable is not set: that is no revision of anything
}

// Seen names a thing, and perhaps the revision in which it was seen: of another one nothing is done to it.
type Seen struct {
	ByID
	Match
}

func (s *server) listProjects(ctx context.Context, in *PageQuery) (*out[list[projectJSON]], error) {
	projects, next, err := s.d.DB.ProjectsAmong(ctx, visible(ctx), in.page())
	if err != nil {
		return nil, err
	}
	return answer(listOf(projects, next, projectOf)), nil
}

func (s *server) getProject(ctx context.Context, in *ByID) (*versioned[projectJSON], error) {
	p, err := s.findProject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return atRevision(projectOf(p), p.Revision), nil
}

func (s *server) findProject(ctx context.Context, idOrName string) (store.Project, error) {
	return byIDOrName(ctx, idOrName, s.d.DB.Project, s.d.DB.ProjectByName)
}

// byIDOrName finds what people call by its name and programs by its id.
func byIDOrName[T any](ctx context.Context, idOrName string, byID, byName func(context.Context, string) (T, error)) (T, error) {
	found, err := byID(ctx, idOrName)
	if errors.Is(err, store.ErrNotFound) {
		return byName(ctx, idOrName)
	}
	return found, err
}

type createProjectIn struct {
	Body struct {
		Name       string `json:"name" pattern:"^[a-z0-9][a-z0-9-]{0,62}$" doc:"unique"`
		Image      string `json:"image" minLength:"1" maxLength:"255" doc:"repository without a tag, such as ghcr.io/acme/shop"`
		StaleAfter string `json:"stale_after,omitempty" maxLength:"20" doc:"10s, 36h, 7d or never; absent: the global threshold"`
	}
}

func (s *server) createProject(ctx context.Context, in *createProjectIn) (*versioned[projectJSON], error) {
	after, err := readStaleAfter(in.Body.StaleAfter)
	if err != nil {
		return nil, err
	}
	if err := checkRepository(in.Body.Image); err != nil {
		return nil, err
	}
	p := store.Project{ID: store.NewID(), Name: in.Body.Name, Image: in.Body.Image, StaleAfter: after, Revision: 1}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertProject(ctx, p); err != nil {
			return err
		}
		return tx.Emit(ctx, projectEvent(ctx, p, "project.created", "project "+p.Name+" was made"))
	})
	if err != nil {
		return nil, s.projectTaken(ctx, p, err)
	}
	return s.projectNow(ctx, p.ID)
}

func (s *server) projectNow(ctx context.Context, id string) (*versioned[projectJSON], error) {
	p, err := s.d.DB.Project(ctx, id)
	if err != nil {
		return nil, err
	}
	return atRevision(projectOf(p), p.Revision), nil
}

// readStaleAfter reads a threshold; empty means to inherit it.
func readStaleAfter(text string) (*store.StaleAfter, error) {
	if text == "" {
		return nil, nil
	}
	after, err := store.ParseStaleAfter(text)
	if err != nil {
		return nil, invalid("body.stale_after", err.Error())
	}
	return &after, nil
}

func checkRepository(image string) error {
	if err := deploy.ValidateReference(image, "latest"); err != nil {
		return invalid("body.image", strings.TrimPrefix(err.Error(), "invalid image ")) // the location says image
	}
	return nil
}

type updateProjectIn struct {
	ByID
	Match
	Body struct {
		Name       *string          `json:"name,omitempty" pattern:"^[a-z0-9][a-z0-9-]{0,62}$"`
		Image      *string          `json:"image,omitempty" minLength:"1" maxLength:"255"`
		StaleAfter optional[string] `json:"stale_after,omitzero" maxLength:"20" doc:"null: the global threshold"`
	}
}

func (s *server) updateProject(ctx context.Context, in *updateProjectIn) (*versioned[projectJSON], error) {
	p, err := s.findProject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(p.Revision); err != nil {
		return nil, err
	}
	was := p
	setIf(&p.Name, in.Body.Name)
	if in.Body.Image != nil {
		if err := checkRepository(*in.Body.Image); err != nil {
			return nil, err
		}
		p.Image = *in.Body.Image
	}
	if err := changeStaleAfter(&p.StaleAfter, in.Body.StaleAfter); err != nil {
		return nil, err
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.UpdateProject(ctx, p); err != nil {
			return err
		}
		e := projectEvent(ctx, p, "project.updated", "project "+p.Name+" was changed")
		e.Differ(differenceOf(projectOf(was), projectOf(p), "name", "image", "stale_after"))
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return nil, s.projectTaken(ctx, p, err)
	}
	if in.Body.StaleAfter.set {
		s.thresholdsChanged(ctx)
	}
	return s.projectNow(ctx, p.ID)
}

// projectTaken says of a conflict, in words, that another project has the name, if that is what it is.
func (s *server) projectTaken(ctx context.Context, p store.Project, err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	if other, lookErr := s.d.DB.ProjectByName(ctx, p.Name); lookErr != nil || other.ID == p.ID {
		return err
	}
	return newProblem(http.StatusConflict, codeConflict, "there is a project "+p.Name+" already")
}

func setIf[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func changeStaleAfter(field **store.StaleAfter, change optional[string]) error {
	if !change.set {
		return nil
	}
	after, err := readStaleAfter(change.value)
	if err != nil {
		return err
	}
	*field = after
	return nil
}

func (s *server) deleteProject(ctx context.Context, in *Seen) (*none, error) {
	p, err := s.findProject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if p, err = tx.Project(ctx, p.ID); err != nil {
			return err
		}
		if err := in.check(p.Revision); err != nil {
			return err
		}
		if err := tx.DeleteProject(ctx, p.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, projectEvent(ctx, p, "project.deleted", "project "+p.Name+" was removed"))
	})
}

func projectEvent(ctx context.Context, p store.Project, kind, message string) store.Event {
	e := apiEvent(ctx, kind, message)
	e.ProjectID = p.ID
	return e
}

// apiEvent is an event of something that a caller did here.
func apiEvent(ctx context.Context, kind, message string) store.Event {
	v := visitOf(ctx)
	return store.Event{
		Time: time.Now(), Severity: store.SeverityInfo, Source: store.SourceAPI, Kind: kind, Message: message,
		Actor: v.caller.Actor, Data: map[string]any{"addr": v.addr},
	}
}

// thresholdsChanged asks for a new schedule and a scan. The change itself is done:
// an error of this is only told to the log.
func (s *server) thresholdsChanged(ctx context.Context) {
	if s.d.ThresholdsChanged == nil {
		return
	}
	if err := s.d.ThresholdsChanged(context.WithoutCancel(ctx)); err != nil {
		s.log.ErrorContext(ctx, "scan job was not set anew", "error", err)
	}
}
