package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Certificates are those that the table in force asks for, kept by whoever serves it.
type Certificates interface {
	Certificates(context.Context) ([]certs.Status, error)
	RenewCertificate(context.Context, certs.ID) error
}

// certificateJSON is a certificate. Its key is never answered.
type certificateJSON struct {
	ID           string   `json:"id" doc:"such as auto:app.example.com, internal:app.localhost or own:wiki"`
	Mode         string   `json:"mode" enum:"auto,internal,own"`
	Name         string   `json:"name" doc:"its domain, or the name under which it was uploaded"`
	Domains      []string `json:"domains" nullable:"false" doc:"that are served by it; none: no route asks for it"`
	Names        []string `json:"names" nullable:"false" doc:"that it covers"`
	Issuer       string   `json:"issuer,omitempty"`
	NotBefore    moment   `json:"not_before"`
	NotAfter     moment   `json:"not_after" doc:"null: there is none yet"`
	DaysLeft     *int     `json:"days_left,omitempty" doc:"whole days; negative: since when it has expired"`
	State        string   `json:"state" enum:"pending,valid,expiring,expired,failed" doc:"pending: it is being had for the first time; failed: it could not be had; expiring: it ends within two weeks and was not renewed"`
	Busy         bool     `json:"busy" doc:"it is being asked for now"`
	RenewAt      moment   `json:"renew_at" doc:"null: it is not renewed by itself"`
	Trouble      string   `json:"trouble,omitempty" enum:"unreachable,dns,rate_limited,refused,account,authority_down,missing,unusable,other" doc:"why the last try failed"`
	TroubleAt    moment   `json:"trouble_at"`
	TroubleText  string   `json:"trouble_text,omitempty" doc:"as it was answered"`
	Hint         string   `json:"hint,omitempty" doc:"what to do about it"`
	NextTryAt    moment   `json:"next_try_at"`
	NotListening bool     `json:"not_listening,omitempty" doc:"the daemon was started without --proxy-https: nothing is served over TLS"`
}

func (s *server) certificateOf(c certs.Status) certificateJSON {
	now := time.Now()
	_, https := s.d.Routes.listen()
	j := certificateJSON{
		ID: c.ID.String(), Mode: string(c.ID.Mode), Name: c.ID.Name, Domains: append([]string{}, c.Domains...), Names: append([]string{}, c.Names...), Issuer: c.Issuer,
		NotBefore: moment(c.NotBefore), NotAfter: moment(c.NotAfter), State: c.State(now), Busy: c.Busy, RenewAt: moment(c.RenewAt), Trouble: string(c.Trouble.Kind),
		TroubleAt: moment(c.FailedAt), TroubleText: c.Trouble.Detail, Hint: c.Trouble.Hint, NextTryAt: moment(c.NextTry), NotListening: https == "",
	}
	if !c.NotAfter.IsZero() {
		days := int(c.NotAfter.Sub(now).Hours() / 24)
		j.DaysLeft = &days
	}
	return j
}

// listCertificates lists those that routes ask for, and the uploaded ones that none asks for.
func (s *server) listCertificates(ctx context.Context, _ *none) (*out[list[certificateJSON]], error) {
	all, err := s.certificates(ctx)
	if err != nil {
		return nil, err
	}
	return answer(listOf(all, "", s.certificateOf)), nil
}

func (s *server) certificates(ctx context.Context) (all []certs.Status, err error) {
	if s.d.Routes.Certificates != nil {
		if all, err = s.d.Routes.Certificates.Certificates(ctx); err != nil {
			return nil, awayProblem(err)
		}
	}
	names, err := s.d.Routes.Folder.Uploads()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		id := certs.ID{Mode: certs.Own, Name: name}
		if slices.ContainsFunc(all, func(c certs.Status) bool { return c.ID == id }) {
			continue
		}
		c, err := s.d.Routes.Folder.Describe(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went meanwhile
		}
		if err != nil {
			c = certs.Status{ID: id, Trouble: certs.Trouble{Kind: certs.Unusable, Detail: err.Error(), Hint: "upload a good one in its place"}}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b certs.Status) int {
		return cmp.Or(cmp.Compare(a.ID.Name, b.ID.Name), cmp.Compare(a.ID.Mode, b.ID.Mode))
	})
	return all, nil
}

func (s *server) getCertificate(ctx context.Context, in *ByID) (*out[certificateJSON], error) {
	c, err := s.findCertificate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(s.certificateOf(c)), nil
}

func (s *server) findCertificate(ctx context.Context, id string) (certs.Status, error) {
	all, err := s.certificates(ctx)
	if err != nil {
		return certs.Status{}, err
	}
	at := slices.IndexFunc(all, func(c certs.Status) bool { return c.ID.String() == id })
	if at < 0 {
		return certs.Status{}, noCertificate()
	}
	return all[at], nil
}

func noCertificate() error {
	return newProblem(http.StatusNotFound, codeNotFound, "there is no such certificate")
}

// renewCertificate asks for a certificate anew, now. It does not wait for the authority.
func (s *server) renewCertificate(ctx context.Context, in *ByID) (*out[certificateJSON], error) {
	c, err := s.findCertificate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	_, https := s.d.Routes.listen()
	switch {
	case c.ID.Mode == certs.Own:
		return nil, newProblem(http.StatusConflict, codeWrongState, "it was uploaded, and nobody can renew it but who made it").hint("upload its successor under the same name")
	case https == "":
		return nil, newProblem(http.StatusConflict, codeWrongState, "nothing is served over TLS").hint("start the daemon with --proxy-https, such as --proxy-https :443")
	}
	if err := awayProblem(s.d.Routes.Certificates.RenewCertificate(ctx, c.ID)); err != nil {
		if errors.Is(err, certs.ErrUnknown) {
			return nil, noCertificate()
		}
		return nil, err
	}
	e := apiEvent(ctx, "certificate.asked", "the certificate of "+c.ID.Name+" is asked for anew")
	e.Data["certificate"] = c.ID.String()
	if err := s.d.DB.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) }); err != nil {
		return nil, err
	}
	return s.getCertificate(ctx, in)
}

type uploadIn struct {
	Name string `path:"name" maxLength:"100" doc:"small letters, digits, '.', '-' and '_'"`
	Body struct {
		Chain string `json:"chain" minLength:"1" maxLength:"300000" doc:"PEM: the certificate first, then who vouches for it"`
		Key   string `json:"key" minLength:"1" maxLength:"300000" writeOnly:"true" doc:"PEM, without a password; never answered"`
	}
}

// uploadCertificate keeps a certificate with its key, also in the place of one of its name.
func (s *server) uploadCertificate(ctx context.Context, in *uploadIn) (*out[certificateJSON], error) {
	if err := certs.CheckName(in.Name); err != nil {
		return nil, uploadFault(err)
	}
	c, err := certs.Check([]byte(in.Body.Chain), []byte(in.Body.Key), time.Now())
	if err != nil {
		return nil, uploadFault(err)
	}
	users, err := s.usersOf(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	var domains []string
	for _, u := range users {
		for _, d := range u.Domains {
			domains = append(domains, d.Domain)
		}
	}
	if missing := certs.Uncovered(c, domains); len(missing) > 0 {
		return nil, invalid("body.chain", "routes are served by the certificate of this name, and it does not cover "+strings.Join(missing, ", "))
	}
	names, err := s.d.Routes.Folder.Uploads()
	if err != nil {
		return nil, err
	}
	what := "uploaded"
	var former certs.Status // what cannot be read is told as nothing
	if slices.Contains(names, in.Name) {
		what = "replaced"
		if known, err := s.d.Routes.Folder.Describe(in.Name); err == nil {
			former = known
		}
	}
	if err := s.d.Routes.Folder.Put(in.Name, []byte(in.Body.Chain), []byte(in.Body.Key)); err != nil {
		return nil, err
	}
	id := certs.ID{Mode: certs.Own, Name: in.Name}
	e := certificateEvent(ctx, id, what)
	e.Data["not_after"] = c.Leaf.NotAfter.UTC()
	if what == "replaced" {
		now, err := s.d.Routes.Folder.Describe(in.Name)
		if err != nil {
			return nil, err
		}
		d := differenceOf(s.certificateOf(former), s.certificateOf(now), "names", "issuer", "not_before", "not_after")
		d.NoteSecret("key", true)
		e.Differ(d)
	}
	if err := s.d.DB.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) }); err != nil {
		return nil, err
	}
	if err := s.takeUp(ctx, id); err != nil { // it is written down, and taken up when the data plane is back
		return nil, err
	}
	return s.getCertificate(ctx, &ByID{ID: id.String()})
}

// takeUp has a file that has changed served.
func (s *server) takeUp(ctx context.Context, id certs.ID) error {
	if s.d.Routes.Certificates == nil {
		return nil
	}
	if err := s.d.Routes.Certificates.RenewCertificate(ctx, id); err != nil && !errors.Is(err, certs.ErrUnknown) {
		return awayProblem(err)
	}
	return nil
}

func certificateEvent(ctx context.Context, id certs.ID, what string) store.Event {
	e := apiEvent(ctx, "certificate."+what, "the certificate "+id.Name+" was "+what)
	e.Data["certificate"] = id.String()
	return e
}

func uploadFault(err error) error {
	f, ok := errors.AsType[certs.FieldError](err)
	if !ok {
		return err
	}
	if f.Field == "name" {
		return invalid("path.name", f.Reason)
	}
	return invalid("body."+f.Field, f.Reason)
}

// usersOf are the routes that name an uploaded certificate, served or not.
func (s *server) usersOf(ctx context.Context, name string) (users []store.RouteView, err error) {
	p := store.Page{Limit: 1000}
	for {
		rows, next, err := s.d.DB.Routes(ctx, store.RouteFilter{All: true}, p)
		if err != nil {
			return nil, err
		}
		for _, v := range rows {
			if certificateName(v.Route) == name {
				users = append(users, v)
			}
		}
		if p.Cursor = next; next == "" {
			return users, nil
		}
	}
}

// deleteCertificate forgets an uploaded certificate that no route names.
func (s *server) deleteCertificate(ctx context.Context, in *ByID) (*none, error) {
	id, err := certs.ParseID(in.ID)
	if err != nil {
		return nil, noCertificate()
	}
	if id.Mode != certs.Own {
		return nil, newProblem(http.StatusConflict, codeWrongState, "only uploaded certificates are removed: this one goes when no route asks for it")
	}
	users, err := s.usersOf(ctx, id.Name)
	if err != nil {
		return nil, err
	}
	if len(users) > 0 {
		var names []string
		for _, u := range users {
			if len(u.Domains) > 0 {
				names = append(names, proxy.Address(u.Domains[0]).String())
			}
		}
		return nil, newProblem(http.StatusConflict, codeConflict, "it serves "+strings.Join(names, ", ")).hint("choose another certificate for them first")
	}
	if err := s.d.Routes.Folder.Remove(id.Name); err != nil {
		if errors.Is(err, certs.ErrUnknown) {
			return nil, noCertificate()
		}
		return nil, err
	}
	return nil, s.d.DB.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, certificateEvent(ctx, id, "removed")) })
}

// certificateFault says what is wrong with the uploaded certificate that a route names.
func (s *server) certificateFault(r store.Route) error {
	name := certificateName(r)
	if name == "" {
		return nil
	}
	var domains []string
	for _, d := range r.Domains {
		domains = append(domains, d.Domain)
	}
	missing, err := s.d.Routes.Folder.Uncovered(name, domains)
	switch {
	case errors.Is(err, certs.ErrUnknown):
		return invalid("body.certificate", "there is no uploaded certificate of this name")
	case err != nil:
		return err
	case len(missing) > 0:
		return invalid("body.certificate", fmt.Sprintf("it does not cover %s", strings.Join(missing, ", ")))
	}
	return nil
}

// rootOfOurs answers the root of our own authority, which clients are to trust.
func (s *server) rootOfOurs(context.Context, *none) (*streamOut, error) {
	root, err := s.d.Routes.Folder.Root(time.Now())
	if err != nil {
		return nil, err
	}
	return &streamOut{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Header().Set("Content-Disposition", `attachment; filename="docker-watcher-ca.pem"`)
		_, _ = w.Write(root) // the caller left if this fails; there is nobody to tell
	}}, nil
}

// certificateName is the uploaded certificate that a route names; empty: none.
func certificateName(r store.Route) string {
	o, err := routing.OptionsOf(r)
	if err != nil || proxy.TLS(r.TLS) != proxy.TLSOwn {
		return ""
	}
	return o.Certificate
}

// isAway tells that an error is that the data plane cannot be reached.
func isAway(err error) bool {
	var away interface{ Away() bool }
	return errors.As(err, &away) && away.Away()
}

// awayProblem says what to do where the data plane cannot be reached; another error passes as it is.
func awayProblem(err error) error {
	if isAway(err) {
		return newProblem(http.StatusServiceUnavailable, codeNotServed, err.Error()).hint("see that 'server proxy' runs; what was saved is served when it is back")
	}
	return err
}
