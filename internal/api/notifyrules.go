package api

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type namedJSON struct {
	ID   string `json:"id"`
	Name string `json:"name" doc:"empty: it is gone"`
}

type notifyRuleJSON struct {
	ID            string              `json:"id"`
	Name          string              `json:"name"`
	Enabled       bool                `json:"enabled" doc:"what happens while it is off is not told"`
	Channels      []namedJSON         `json:"channels" nullable:"false" doc:"none: what happens waits until there is one"`
	Severities    []string            `json:"severities" nullable:"false" doc:"none: all, as of the next ones"`
	Sources       []string            `json:"sources" nullable:"false"`
	Kinds         []string            `json:"kinds" nullable:"false"`
	Projects      []namedJSON         `json:"projects" nullable:"false"`
	GatherMinutes int                 `json:"gather_minutes" doc:"what comes within so long is one message; errors go at once"`
	GatherErrors  bool                `json:"gather_errors" doc:"errors are gathered, too"`
	Quiet         nullable[QuietJSON] `json:"quiet" doc:"null: there are no quiet hours"`
	CreatedAt     stamp               `json:"created_at"`
	UpdatedAt     stamp               `json:"updated_at"`
	Revision      int64               `json:"revision"`
}

// QuietJSON is a part of each day in which nothing is sent.
type QuietJSON struct {
	From       string `json:"from" minLength:"5" maxLength:"5" doc:"22:00"`
	To         string `json:"to" minLength:"5" maxLength:"5" doc:"07:00"`
	Zone       string `json:"zone,omitempty" maxLength:"64" doc:"Europe/Berlin; absent: UTC"`
	HoldErrors bool   `json:"hold_errors,omitempty" doc:"errors wait, too"`
}

// ruleFields are what a rule is made and changed by.
type ruleFields struct {
	Name          *string             `json:"name,omitempty" pattern:"^[a-z0-9][a-z0-9-]{0,62}$" doc:"unique"`
	Enabled       *bool               `json:"enabled,omitempty" doc:"default true"`
	Channels      *[]string           `json:"channels,omitempty" maxItems:"50" doc:"ids or names"`
	Severities    *[]string           `json:"severities,omitempty" maxItems:"3" enum:"info,warn,error"`
	Sources       *[]string           `json:"sources,omitempty" maxItems:"20" enum:"scanner,cleaner,deployer,poller,proxy,engine,auth,settings,api,system,notifier"`
	Kinds         *[]string           `json:"kinds,omitempty" maxItems:"50" doc:"instance.stale, or deploy.* for all that begin so"`
	Projects      *[]string           `json:"projects,omitempty" maxItems:"200" doc:"ids or names"`
	GatherMinutes *int                `json:"gather_minutes,omitempty" minimum:"0" maximum:"10080" doc:"default 5"`
	GatherErrors  *bool               `json:"gather_errors,omitempty"`
	Quiet         optional[QuietJSON] `json:"quiet,omitzero" doc:"null: none"`
}

// usualGather is what a rule gathers for unless somebody says otherwise.
const usualGather = 5 * time.Minute

var kindPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z_]*\.([a-z_]+|[a-z_]*\*)$|^\*$`) })

func (s *server) ruleNames(ctx context.Context) (channels, projects map[string]string, err error) {
	channels, projects = map[string]string{}, map[string]string{}
	cs, err := s.d.DB.Channels(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range cs {
		channels[c.ID] = c.Name
	}
	for page := (store.Page{Limit: 1000}); ; {
		ps, next, err := s.d.DB.Projects(ctx, page)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range ps {
			projects[p.ID] = p.Name
		}
		if page.Cursor = next; next == "" {
			return channels, projects, nil
		}
	}
}

func (s *server) listNotifyRules(ctx context.Context, _ *none) (*out[list[notifyRuleJSON]], error) {
	rows, err := s.d.DB.NotifyRules(ctx)
	if err != nil {
		return nil, err
	}
	channels, projects, err := s.ruleNames(ctx)
	if err != nil {
		return nil, err
	}
	return answer(listOf(rows, "", func(r store.NotifyRule) notifyRuleJSON { return notifyRuleOf(r, channels, projects) })), nil
}

func notifyRuleOf(r store.NotifyRule, channels, projects map[string]string) notifyRuleJSON {
	j := notifyRuleJSON{
		ID: r.ID, Name: r.Name, Enabled: r.Enabled, Channels: namedOf(r.Channels, channels), Severities: texts(r.Severities), Sources: texts(r.Sources),
		Kinds: texts(r.Kinds), Projects: namedOf(r.Projects, projects), GatherMinutes: int(r.Gather / time.Minute), GatherErrors: r.GatherErrors,
		CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt), Revision: r.Revision,
	}
	if r.Quiet.From != "" {
		j.Quiet.value = &QuietJSON{From: r.Quiet.From, To: r.Quiet.To, Zone: r.Quiet.Zone, HoldErrors: r.Quiet.HoldErrors}
	}
	return j
}

func namedOf(ids []string, names map[string]string) []namedJSON {
	out := make([]namedJSON, 0, len(ids))
	for _, id := range ids {
		out = append(out, namedJSON{ID: id, Name: names[id]})
	}
	return out
}

func texts[T ~string](all []T) []string {
	out := make([]string, 0, len(all))
	for _, t := range all {
		out = append(out, string(t))
	}
	return out
}

func (s *server) findRule(ctx context.Context, idOrName string) (store.NotifyRule, error) {
	return byIDOrName(ctx, idOrName, s.d.DB.NotifyRule, s.d.DB.NotifyRuleByName)
}

func (s *server) getNotifyRule(ctx context.Context, in *ByID) (*versioned[notifyRuleJSON], error) {
	r, err := s.findRule(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	channels, projects, err := s.ruleNames(ctx)
	if err != nil {
		return nil, err
	}
	return atRevision(notifyRuleOf(r, channels, projects), r.Revision), nil
}

type createNotifyRuleIn struct{ Body ruleFields }

func (s *server) createNotifyRule(ctx context.Context, in *createNotifyRuleIn) (*versioned[notifyRuleJSON], error) {
	if in.Body.Name == nil {
		return nil, invalid("body.name", "a name is expected")
	}
	r := store.NotifyRule{ID: store.NewID(), Enabled: true, Revision: 1, NotifyTiming: store.NotifyTiming{Gather: usualGather}}
	if err := s.changeRule(ctx, &r, in.Body); err != nil {
		return nil, err
	}
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertNotifyRule(ctx, r); err != nil {
			return err
		}
		return tx.Emit(ctx, ruleEvent(ctx, r, "rule.created", "notification rule "+r.Name+" was made"))
	})
	if err != nil {
		return nil, nameTaken(err, "rule", r.Name)
	}
	return s.getNotifyRule(ctx, &ByID{ID: r.ID})
}

// changeRule writes what is named into a rule, and says of every field what is wrong with it.
func (s *server) changeRule(ctx context.Context, r *store.NotifyRule, f ruleFields) error {
	p := newProblem(http.StatusUnprocessableEntity, codeInvalid, "the request is invalid, nothing was done")
	setIf(&r.Name, f.Name)
	setIf(&r.Enabled, f.Enabled)
	setIf(&r.GatherErrors, f.GatherErrors)
	if f.Severities != nil {
		r.Severities = each[store.Severity](*f.Severities)
	}
	if f.Sources != nil {
		r.Sources = each[store.Source](*f.Sources)
	}
	if f.GatherMinutes != nil {
		r.Gather = time.Duration(*f.GatherMinutes) * time.Minute
	}
	if f.Kinds != nil {
		r.Kinds = *f.Kinds
		for i, kind := range r.Kinds {
			if len(kind) > 100 || !kindPattern().MatchString(kind) {
				p = p.field("body.kinds["+strconv.Itoa(i)+"]", "a kind such as instance.stale, or deploy.* for all that begin so")
			}
		}
	}
	if f.Quiet.set {
		q := f.Quiet.value // empty where it is null
		r.Quiet = store.QuietHours{From: q.From, To: q.To, Zone: q.Zone, HoldErrors: q.HoldErrors}
		if err := notify.ValidQuiet(r.Quiet); err != nil {
			p = p.field("body.quiet", err.Error())
		}
	}
	var err error
	if f.Channels != nil {
		r.Channels, err = resolve(&p, "channels", *f.Channels, func(name string) (string, error) {
			c, err := s.findChannel(ctx, name)
			return c.ID, err
		})
	}
	if err == nil && f.Projects != nil {
		r.Projects, err = resolve(&p, "projects", *f.Projects, func(name string) (string, error) {
			found, err := s.findProject(ctx, name)
			return found.ID, err
		})
	}
	if err != nil {
		return err
	}
	if len(p.Errors) > 0 {
		return p
	}
	return nil
}

func each[T ~string](texts []string) (out []T) {
	for _, t := range texts {
		if !slices.Contains(out, T(t)) {
			out = append(out, T(t))
		}
	}
	return out
}

// resolve makes ids of names.
func resolve(p **Problem, what string, names []string, find func(string) (string, error)) (ids []string, err error) {
	for i, name := range names {
		id, err := find(name)
		if errors.Is(err, store.ErrNotFound) {
			*p = (*p).field("body."+what+"["+strconv.Itoa(i)+"]", "there is none of this name")
			continue
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

type updateNotifyRuleIn struct {
	ByID
	Match
	Body ruleFields
}

func (s *server) updateNotifyRule(ctx context.Context, in *updateNotifyRuleIn) (*versioned[notifyRuleJSON], error) {
	r, err := s.findRule(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(r.Revision); err != nil {
		return nil, err
	}
	if err := s.changeRule(ctx, &r, in.Body); err != nil {
		return nil, err
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.UpdateNotifyRule(ctx, r); err != nil {
			return err
		}
		return tx.Emit(ctx, ruleEvent(ctx, r, "rule.updated", "notification rule "+r.Name+" was changed"))
	})
	if err != nil {
		if other, lookErr := s.d.DB.NotifyRuleByName(ctx, r.Name); lookErr == nil && other.ID != r.ID {
			return nil, nameTaken(err, "rule", r.Name)
		}
		return nil, err
	}
	return s.getNotifyRule(ctx, &ByID{ID: r.ID})
}

func (s *server) deleteNotifyRule(ctx context.Context, in *Seen) (*none, error) {
	r, err := s.findRule(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if r, err = tx.NotifyRule(ctx, r.ID); err != nil {
			return err
		}
		if err := in.check(r.Revision); err != nil {
			return err
		}
		if err := tx.DeleteNotifyRule(ctx, r.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, ruleEvent(ctx, r, "rule.removed", "notification rule "+r.Name+" was removed"))
	})
}

func ruleEvent(ctx context.Context, r store.NotifyRule, kind, message string) store.Event {
	e := apiEvent(ctx, kind, message)
	e.Data["rule_id"], e.Data["rule"] = r.ID, r.Name
	return e
}
