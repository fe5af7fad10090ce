package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type registryJSON struct {
	ID          string                     `json:"id"`
	Name        string                     `json:"name"`
	Host        string                     `json:"host" doc:"what stands before the first / in the names of its images"`
	Preset      string                     `json:"preset" doc:"the form that it was filled in with"`
	Username    string                     `json:"username,omitempty"`
	PasswordSet bool                       `json:"password_set" doc:"the password itself is never answered"`
	PlainHTTP   bool                       `json:"plain_http" doc:"it may be spoken to without TLS"`
	CA          string                     `json:"ca,omitempty" doc:"PEM of the authorities that it is trusted by, beside those of the system"`
	LastTest    nullable[registryTestJSON] `json:"last_test" doc:"null: it was never tried"`
	Allowance   nullable[allowanceJSON]    `json:"allowance" doc:"what it says that it may still be asked; null: it has said nothing"`
	Traffic     nullable[trafficJSON]      `json:"traffic" doc:"what it was asked; null: nothing since the daemon started"`
	Use         registryUseJSON            `json:"use"`
	Hook        nullable[Webhook]          `json:"hook" doc:"where it may say that something was pushed; null: it may not"`
	Stages      []registryStageJSON        `json:"stages,omitempty" doc:"whose images come from it; only of one registry that is asked for by itself"`
	CreatedAt   stamp                      `json:"created_at"`
	UpdatedAt   stamp                      `json:"updated_at"`
	Revision    int64                      `json:"revision"`
}

type registryTestJSON struct {
	At           stamp  `json:"at"`
	By           string `json:"by"`
	OK           bool   `json:"ok"`
	TookMS       int64  `json:"took_ms"`
	Class        string `json:"class,omitempty" enum:"unauthorized,not_found,rate_limited,unreachable,certificate,plain_http,not_a_registry,broken" doc:"what went wrong, for programs"`
	Detail       string `json:"detail,omitempty" doc:"what went wrong"`
	Remedy       string `json:"remedy,omitempty" doc:"what to do about it"`
	Repository   string `json:"repository,omitempty" doc:"whose tags were asked for"`
	Tags         *int   `json:"tags,omitempty" doc:"how many that repository has"`
	Repositories *int   `json:"repositories,omitempty" doc:"how many it shows in its catalogue; absent: it shows none"`
	More         bool   `json:"more,omitempty" doc:"than were counted"`
}

type allowanceJSON struct {
	Limit         *int   `json:"limit" doc:"requests in a window; null: it has told no limit"`
	Remaining     *int   `json:"remaining" doc:"of them"`
	WindowSeconds int64  `json:"window_seconds,omitempty"`
	Source        string `json:"source,omitempty" doc:"whom it counts, as it says: an address or an account"`
	RetryAt       moment `json:"retry_at" doc:"it wants to be left alone until then"`
	SeenAt        stamp  `json:"seen_at" doc:"when it said so"`
}

type registryPresetJSON struct {
	Kind         string `json:"kind"`
	Title        string `json:"title"`
	Host         string `json:"host,omitempty" doc:"as it is to be written"`
	HostHint     string `json:"host_hint,omitempty"`
	Username     string `json:"username,omitempty" doc:"as it is to be written"`
	UsernameHint string `json:"username_hint,omitempty"`
	PasswordHint string `json:"password_hint"`
	Note         string `json:"note,omitempty"`
}

func (s *server) registryOf(r store.Registry, uses []store.ImageUse) registryJSON {
	j := registryJSON{
		ID: r.ID, Name: r.Name, Host: r.Host, Preset: r.Preset, Username: r.Username, PasswordSet: r.PasswordSet, PlainHTTP: r.PlainHTTP, CA: r.CA,
		Use: registryUseOf(uses), CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt), Revision: r.Revision,
	}
	if !r.LastTest.At.IsZero() {
		test := registryTestOf(r.LastTest)
		j.LastTest.value = &test
	}
	if a := s.newestAllowance(r); !a.SeenAt.IsZero() {
		shown := allowanceOf(a)
		j.Allowance.value = &shown
	}
	if t := s.d.Registries.Traffic(r.Host); !t.Since.IsZero() {
		shown := trafficOf(t)
		j.Traffic.value = &shown
	}
	j.Hook.value = hookOf(r)
	return j
}

// newestAllowance is what the registry said last, be it to somebody's test or to a question since.
func (s *server) newestAllowance(r store.Registry) store.Allowance {
	if now := s.d.Registries.Allowance(r.Host); now.SeenAt.After(r.Allowance.SeenAt) {
		return store.Allowance(now)
	}
	return r.Allowance
}

func registryTestOf(t store.RegistryTest) registryTestJSON {
	j := registryTestJSON{
		At: stamp(t.At), By: t.By, OK: t.Class == "", TookMS: t.Took.Milliseconds(), Class: t.Class, Detail: t.Detail, Remedy: t.Remedy,
		Repository: t.Repository, More: t.More,
	}
	if j.OK && t.Repository != "" {
		j.Tags = &t.Tags
	}
	if j.OK && t.Repositories >= 0 {
		j.Repositories = &t.Repositories
	}
	return j
}

func allowanceOf(a store.Allowance) allowanceJSON {
	j := allowanceJSON{WindowSeconds: int64(a.Window.Seconds()), Source: a.Source, RetryAt: moment(a.RetryAt), SeenAt: stamp(a.SeenAt)}
	if a.Limit > 0 {
		j.Limit, j.Remaining = &a.Limit, &a.Remaining
	}
	return j
}

func (s *server) listRegistries(ctx context.Context, _ *none) (*out[list[registryJSON]], error) {
	rows, err := s.d.DB.Registries(ctx)
	if err != nil {
		return nil, err
	}
	uses, err := s.usesByHost(ctx)
	if err != nil {
		return nil, err
	}
	return answer(listOf(rows, "", func(r store.Registry) registryJSON { return s.registryOf(r, uses[r.Host]) })), nil
}

func (s *server) listPresets(context.Context, *none) (*out[list[registryPresetJSON]], error) {
	return answer(listOf(registry.Presets(), "", func(p registry.Preset) registryPresetJSON { return registryPresetJSON(p) })), nil
}

func (s *server) getRegistry(ctx context.Context, in *ByID) (*versioned[registryJSON], error) {
	r, err := s.findRegistry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	uses, err := s.usesByHost(ctx)
	if err != nil {
		return nil, err
	}
	shown := s.registryOf(r, uses[r.Host])
	shown.Stages = registryStagesOf(uses[r.Host])
	return atRevision(shown, r.Revision), nil
}

func (s *server) findRegistry(ctx context.Context, idOrName string) (store.Registry, error) {
	return byIDOrName(ctx, idOrName, s.d.DB.Registry, s.d.DB.RegistryByName)
}

type createRegistryIn struct {
	Body struct {
		Name      string `json:"name" pattern:"^[a-z0-9][a-z0-9-]{0,62}$" doc:"unique"`
		Host      string `json:"host" minLength:"1" maxLength:"255" doc:"unique; as in the names of its images: docker.io, ghcr.io, 10.0.0.7:5000"`
		Preset    string `json:"preset,omitempty" maxLength:"40" doc:"one of /api/registry-presets; default generic"`
		Username  string `json:"username,omitempty" maxLength:"255"`
		Password  string `json:"password,omitempty" maxLength:"20000" writeOnly:"true" doc:"or a token; sent, never answered"`
		PlainHTTP bool   `json:"plain_http,omitempty" doc:"it may be spoken to without TLS"`
		CA        string `json:"ca,omitempty" maxLength:"200000" doc:"PEM of authorities to trust for it beside those of the system"`
	}
}

func (s *server) createRegistry(ctx context.Context, in *createRegistryIn) (*versioned[registryJSON], error) {
	b := in.Body
	r := store.Registry{
		ID: store.NewID(), Name: b.Name, Host: b.Host, Preset: b.Preset, Username: b.Username, PasswordSet: b.Password != "",
		PlainHTTP: b.PlainHTTP, CA: b.CA, Revision: 1,
	}
	if r.Preset == "" {
		r.Preset = presetOther
	}
	if err := checkRegistry(&r); err != nil {
		return nil, err
	}
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertRegistry(ctx, r, b.Password); err != nil {
			return err
		}
		return tx.Emit(ctx, registryEvent(ctx, r, "registry.created", "registry "+r.Name+" at "+r.Host+" was set up", nil))
	})
	if err != nil {
		return nil, s.registryTaken(ctx, r, err)
	}
	return s.getRegistry(ctx, &ByID{ID: r.ID})
}

const presetOther = "generic"

// checkRegistry says of every field what is wrong with it, and writes the host as it is kept.
func checkRegistry(r *store.Registry) error {
	p := newProblem(http.StatusUnprocessableEntity, codeInvalid, "the request is invalid, nothing was done")
	host, err := registry.ParseHost(r.Host)
	if err != nil {
		p = p.field("body.host", err.Error())
	}
	r.Host = host
	if !isPreset(r.Preset) {
		p = p.field("body.preset", "there is no such preset: see /api/registry-presets")
	}
	switch {
	case r.PasswordSet && r.Username == "":
		p = p.field("body.username", "a password needs a user name beside it; where a token is enough by itself any name will do")
	case !r.PasswordSet && r.Username != "":
		p = p.field("body.password", "a user name needs a password beside it")
	case strings.ContainsAny(r.Username, ":\r\n\x00"):
		p = p.field("body.username", "it must not hold : or line breaks")
	}
	if err := registry.ValidCA(r.CA); err != nil {
		p = p.field("body.ca", err.Error())
	}
	if len(p.Errors) > 0 {
		return p
	}
	return nil
}

func isPreset(kind string) bool {
	for _, p := range registry.Presets() {
		if p.Kind == kind {
			return true
		}
	}
	return false
}

type updateRegistryIn struct {
	ByID
	Match
	Body struct {
		Name      *string          `json:"name,omitempty" pattern:"^[a-z0-9][a-z0-9-]{0,62}$"`
		Host      *string          `json:"host,omitempty" minLength:"1" maxLength:"255" doc:"with another host the password has to be given again"`
		Preset    *string          `json:"preset,omitempty" maxLength:"40"`
		Username  *string          `json:"username,omitempty" maxLength:"255" doc:"empty: none"`
		Password  optional[string] `json:"password,omitzero" maxLength:"20000" doc:"sent, never answered; absent: it stays, null: there is none"`
		PlainHTTP *bool            `json:"plain_http,omitempty"`
		CA        *string          `json:"ca,omitempty" maxLength:"200000" doc:"empty: none"`
	}
}

func (s *server) updateRegistry(ctx context.Context, in *updateRegistryIn) (*versioned[registryJSON], error) {
	former, err := s.findRegistry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(former.Revision); err != nil {
		return nil, err
	}
	r, password, err := in.change(former)
	if err != nil {
		return nil, err
	}
	changed := changedOf(former, r, password != nil)
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.UpdateRegistry(ctx, r, password); err != nil {
			return err
		}
		return tx.Emit(ctx, registryEvent(ctx, r, "registry.updated", "registry "+r.Name+" was changed", changed))
	})
	if err != nil {
		return nil, s.registryTaken(ctx, r, err)
	}
	if slices.ContainsFunc(changed, func(field string) bool { return field != "name" && field != "preset" }) {
		// What it said may have been said to another login.
		s.d.Registries.Forget(former.Host)
		s.d.Registries.Forget(r.Host)
	}
	return s.getRegistry(ctx, &ByID{ID: r.ID})
}

// change is a registry as it is to become, and its new password, if that changes.
func (in *updateRegistryIn) change(r store.Registry) (store.Registry, *string, error) {
	former := r.Host
	setIf(&r.Name, in.Body.Name)
	setIf(&r.Host, in.Body.Host)
	setIf(&r.Preset, in.Body.Preset)
	setIf(&r.Username, in.Body.Username)
	setIf(&r.PlainHTTP, in.Body.PlainHTTP)
	setIf(&r.CA, in.Body.CA)
	var password *string
	if in.Body.Password.set {
		password = &in.Body.Password.value // empty where it is null
		r.PasswordSet = *password != ""
	}
	if err := checkRegistry(&r); err != nil {
		return r, nil, err
	}
	// Whoever may set a password must not be able to learn it, by having it sent to a host of their own.
	if r.Host != former && r.PasswordSet && password == nil {
		return r, nil, invalid("body.password", "the password was given for "+former+": give it again for "+r.Host+", or null for none")
	}
	return r, password, nil
}

// changedOf names the fields that a change touched.
func changedOf(former, r store.Registry, password bool) []string {
	var changed []string
	for _, field := range []struct {
		name  string
		moved bool
	}{
		{"name", former.Name != r.Name},
		{"host", former.Host != r.Host},
		{"preset", former.Preset != r.Preset},
		{"username", former.Username != r.Username},
		{"password", password},
		{"plain_http", former.PlainHTTP != r.PlainHTTP},
		{"ca", former.CA != r.CA},
	} {
		if field.moved {
			changed = append(changed, field.name)
		}
	}
	return changed
}

// registryEvent is an event of a registry. That a password goes over the network for all to read is a warning.
func registryEvent(ctx context.Context, r store.Registry, kind, message string, changed []string) store.Event {
	e := apiEvent(ctx, kind, message)
	e.Data["registry_id"], e.Data["registry"], e.Data["host"] = r.ID, r.Name, r.Host
	if len(changed) > 0 {
		e.Data["changed"] = changed
	}
	if kind != "registry.removed" && r.PlainHTTP && r.PasswordSet && !registry.Local(r.Host) {
		e.Severity = store.SeverityWarn
		e.Message += "; its password may go over the network for all to read: let it speak TLS"
	}
	return e
}

// registryTaken says of a conflict, in words, that another registry has the name or the host, if that is what it is.
func (s *server) registryTaken(ctx context.Context, r store.Registry, err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	if other, lookErr := s.d.DB.RegistryByName(ctx, r.Name); lookErr == nil && other.ID != r.ID {
		return newProblem(http.StatusConflict, codeConflict, "there is a registry "+r.Name+" already").field("body.name", "it is taken")
	}
	if other, lookErr := s.d.DB.RegistryByHost(ctx, r.Host); lookErr == nil && other.ID != r.ID {
		return newProblem(http.StatusConflict, codeConflict, "registry "+other.Name+" is at "+r.Host+" already").field("body.host", "it is taken")
	}
	return err
}

func (s *server) deleteRegistry(ctx context.Context, in *Seen) (*none, error) {
	r, err := s.findRegistry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if r, err = tx.Registry(ctx, r.ID); err != nil {
			return err
		}
		if err := in.check(r.Revision); err != nil {
			return err
		}
		if err := tx.DeleteRegistry(ctx, r.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, registryEvent(ctx, r, "registry.removed",
			"registry "+r.Name+" was removed: "+r.Host+" is asked without a login from now on", nil))
	})
	if err != nil {
		return nil, err
	}
	s.d.Registries.Forget(r.Host)
	return nil, nil
}
