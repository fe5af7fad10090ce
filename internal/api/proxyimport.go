package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The head of a document of standalone proxies.
const (
	proxyDocument = "docker-watcher.standalone-proxies"
	proxyVersion  = 1
	exportPage    = 500
	secretsNote   = "Passwords and the values of secret headers are not in here. Where a proxy is there already, its own stay; for a new one write them in, as password and value."
)

// proxyDocJSON is a document of standalone proxies.
type proxyDocJSON struct {
	Document   string             `json:"document" enum:"docker-watcher.standalone-proxies"`
	Version    int                `json:"version" minimum:"1" maximum:"1"`
	ExportedAt string             `json:"exported_at,omitempty" maxLength:"40"`
	Note       string             `json:"note,omitempty" maxLength:"1000" doc:"for people"`
	Proxies    []proxyDocItemJSON `json:"proxies" maxItems:"5000" nullable:"false"`
}

// proxyDocItemJSON is one of them.
type proxyDocItemJSON struct {
	ID      string    `json:"id,omitempty" maxLength:"100" doc:"of the one that is changed, if there is one; else one of its domains, with the path, tells"`
	Targets *[]string `json:"targets,omitempty" maxItems:"20" nullable:"false"`
	RouteFields
}

func (s *server) exportProxies(ctx context.Context, _ *none) (*out[proxyDocJSON], error) {
	doc := proxyDocJSON{Document: proxyDocument, Version: proxyVersion, ExportedAt: time.Now().UTC().Format(time.RFC3339), Note: secretsNote, Proxies: []proxyDocItemJSON{}}
	page := store.Page{Limit: exportPage}
	for {
		rows, next, err := s.d.DB.Routes(ctx, store.RouteFilter{Standalone: true}, page)
		if err != nil {
			return nil, err
		}
		for _, v := range rows {
			item, err := docItemOf(v)
			if err != nil {
				return nil, err
			}
			doc.Proxies = append(doc.Proxies, item)
		}
		if page.Cursor = next; next == "" {
			return answer(doc), nil
		}
	}
}

// docItemOf says all of a standalone proxy but its secrets.
func docItemOf(v store.RouteView) (proxyDocItemJSON, error) {
	o, err := routing.OptionsOf(v.Route)
	if err != nil {
		return proxyDocItemJSON{}, err
	}
	var j routeJSON
	j.showOptions(o)
	domains, prefix := []string{}, "/"
	for _, d := range v.Domains {
		domains, prefix = append(domains, d.Domain), d.PathPrefix
	}
	people := []credentialJSON{}
	for _, user := range j.BasicAuth {
		people = append(people, credentialJSON{User: user})
	}
	check := optional[healthCheckJSON]{set: true, null: o.HealthCheck == nil}
	if h := o.HealthCheck; h != nil {
		check.value = healthCheckJSON{Path: h.Path, Interval: spanOf(h.Interval), Timeout: spanOf(h.Timeout), Passes: h.Passes, Fails: h.Fails}
	}
	var certificate *string
	if o.Certificate != "" {
		certificate = &o.Certificate
	}
	connect, response := spanOf(o.ConnectTimeout), spanOf(o.ResponseTimeout)
	targets := append([]string{}, v.Targets...)
	return proxyDocItemJSON{ID: v.ID, Targets: &targets, RouteFields: RouteFields{
		Domains: &domains, PathPrefix: &prefix, Enabled: &v.Enabled, Notes: &v.Notes, TLS: &v.TLS, Certificate: certificate, StripPrefix: &j.StripPrefix, RewriteHost: &j.RewriteHost, WebSockets: &j.WebSockets,
		RedirectHTTPS: &j.RedirectHTTPS, HSTSSeconds: &j.HSTSSeconds, RedirectTo: &j.RedirectTo, RedirectCode: &j.RedirectCode, RequestHeaders: &j.RequestHeaders,
		ResponseHeaders: &j.ResponseHeaders, BasicAuth: &people, AllowIPs: &j.AllowIPs, DenyIPs: &j.DenyIPs, ConnectTimeout: &connect,
		ResponseTimeout: &response, MaxBodyBytes: &j.MaxBodyBytes, TargetCA: &o.TargetCA, TargetTLSVerify: &j.TargetTLSVerify, HealthCheck: check, Maintenance: &j.Maintenance, MaintenanceNote: &j.MaintenanceNote, Compress: &j.Compress, AccessLog: &j.AccessLog,
	}}, nil
}

// spanOf is a duration as it is said; empty: its default.
func spanOf(s proxy.Span) string {
	if s == 0 {
		return ""
	}
	return time.Duration(s).String()
}

type importProxiesIn struct {
	Body struct {
		Document proxyDocJSON `json:"document"`
		DryRun   bool         `json:"dry_run,omitempty" doc:"tell only; nothing is written"`
	}
}

// proxyImportJSON is what a document would change, or has changed.
type proxyImportJSON struct {
	Applied   bool                  `json:"applied" doc:"false: of a dry run, nothing was written"`
	Created   int                   `json:"created"`
	Changed   int                   `json:"changed"`
	Unchanged int                   `json:"unchanged"`
	Refused   int                   `json:"refused" doc:"while there is one, nothing can be imported"`
	Items     []proxyImportItemJSON `json:"items" nullable:"false" doc:"in the order of the document"`
}

type proxyImportItemJSON struct {
	Index   int            `json:"index" doc:"in the document, from 0"`
	Action  string         `json:"action" enum:"create,change,unchanged,refused"`
	ID      string         `json:"id,omitempty" doc:"of the one that is there"`
	Name    string         `json:"name" doc:"its first domain"`
	Changed []string       `json:"changed" nullable:"false" doc:"what of it"`
	Errors  []ProblemField `json:"errors" nullable:"false" doc:"why it is refused"`
}

// errOnlyTold takes back what a dry run has written.
var errOnlyTold = errors.New("only told")

func (s *server) importProxies(ctx context.Context, in *importProxiesIn) (*out[proxyImportJSON], error) {
	if err := s.keepAll(ctx, in.Body.Document.Proxies); err != nil {
		return nil, err
	}
	var done proxyImport
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		done = proxyImport{tx: tx, policy: s.d.Routes.Policy, certificate: s.certificateFault}
		if err := done.run(ctx, in.Body.Document.Proxies); err != nil {
			return err
		}
		if in.Body.DryRun || done.refused() {
			return errOnlyTold
		}
		return done.tell(ctx)
	})
	told := errors.Is(err, errOnlyTold)
	switch {
	case err != nil && !told:
		return nil, err
	case told && !in.Body.DryRun:
		return nil, done.problem()
	case told || !done.changes():
		return answer(done.result(!told)), nil
	}
	if err := s.serveRoutes(ctx); err != nil {
		return nil, err
	}
	return answer(done.result(true)), nil
}

// importedProxy is a row of a document on its way into the store.
type importedProxy struct {
	was     store.Route // its id is empty: there is none
	now     store.Route
	changed []string
	wrong   []ProblemField
}

// proxyImport brings standalone proxies to what a document says, inside of one transaction.
type proxyImport struct {
	tx     *store.Tx
	policy proxy.Policy
	items  []importedProxy
	// certificate says what is wrong with the uploaded certificate that a row names.
	certificate func(store.Route) error
}

func (p *proxyImport) run(ctx context.Context, rows []proxyDocItemJSON) error {
	p.items = make([]importedProxy, len(rows))
	for n, row := range rows {
		if err := p.read(ctx, n, row); err != nil {
			return err
		}
	}
	p.findDoubles()
	if err := p.write(ctx); err != nil {
		return err
	}
	return p.check(ctx)
}

// read finds what a row is about, and what it makes of it.
func (p *proxyImport) read(ctx context.Context, n int, row proxyDocItemJSON) error {
	item := &p.items[n]
	was, err := findProxy(ctx, p.tx, row, item)
	if err != nil {
		return err
	}
	item.was, item.now = was, was
	if was.ID == "" {
		item.now = store.Route{ID: store.NewID(), Standalone: true, Owner: actorOf(ctx), TLS: "off", Options: "{}", Enabled: true, CreatedAt: time.Now(), Revision: 1}
	}
	item.now.Domains, item.now.Targets = slices.Clone(was.Domains), slices.Clone(was.Targets)
	setIf(&item.now.Targets, row.Targets)
	var added []string
	if !slices.Equal(item.now.Targets, was.Targets) {
		added = item.now.Targets
	}
	var problem *Problem
	if err := row.applyWhole(ctx, p.tx, p.policy, &item.now, added); errors.As(err, &problem) {
		item.wrong = append(item.wrong, problem.Errors...)
	} else if err != nil {
		return err
	}
	item.changed = changedRoute(item.was, item.now)
	return nil
}

// proxyFinder finds routes and standalone proxies.
type proxyFinder interface {
	Route(ctx context.Context, id string) (store.RouteView, error)
	RouteByDomain(ctx context.Context, address string) (store.RouteView, error)
}

// findProxy is the standalone proxy that a row is about: the one with its id, else the one that has its addresses. None is no error.
func findProxy(ctx context.Context, among proxyFinder, row proxyDocItemJSON, item *importedProxy) (store.Route, error) {
	if row.ID != "" {
		v, err := among.Route(ctx, row.ID)
		if err == nil && v.Standalone {
			return v.Route, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return store.Route{}, err
		}
	}
	var asked store.Route
	var ignored []ProblemField // they are told when the row is applied
	row.applyAddresses(&asked, &ignored)
	var found store.Route
	for i, d := range asked.Domains {
		v, err := among.RouteByDomain(ctx, d.Domain+d.PathPrefix)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return store.Route{}, err
		case !v.Standalone:
			item.wrong = append(item.wrong, ProblemField{fmt.Sprintf("body.domains[%d]", i), proxy.Address(d).String() + " leads to the stage " + v.Project + "/" + v.Stage})
		case found.ID != "" && found.ID != v.ID:
			item.wrong = append(item.wrong, ProblemField{fmt.Sprintf("body.domains[%d]", i), "its domains are of two standalone proxies now: say which one it is by its id"})
		default:
			found = v.Route
		}
	}
	return found, nil
}

// findDoubles refuses rows that are about what another row is about already.
func (p *proxyImport) findDoubles() {
	rows, addresses := map[string]int{}, map[store.RouteAddress]int{}
	for n := range p.items {
		item := &p.items[n]
		if first, twice := rows[item.was.ID]; twice && item.was.ID != "" {
			item.wrong = append(item.wrong, ProblemField{"body.id", fmt.Sprintf("proxies[%d] is about the same standalone proxy", first)})
		} else {
			rows[item.was.ID] = n
		}
		for i, d := range item.now.Domains {
			if first, twice := addresses[d]; twice && first != n {
				item.wrong = append(item.wrong, ProblemField{fmt.Sprintf("body.domains[%d]", i), fmt.Sprintf("%s is in proxies[%d] as well", proxy.Address(d), first)})
				continue
			}
			addresses[d] = n
		}
	}
}

// write writes the rows that are well and differ. All give their addresses free first: one may take over what another has.
func (p *proxyImport) write(ctx context.Context) error {
	for n := range p.items {
		if item := &p.items[n]; item.writes() && item.was.ID != "" {
			if err := p.tx.FreeDomains(ctx, item.was.ID); err != nil {
				return err
			}
		}
	}
	for n := range p.items {
		item := &p.items[n]
		if !item.writes() {
			continue
		}
		save := p.tx.UpdateRoute
		if item.was.ID == "" {
			save = p.tx.InsertRoute
		}
		err := save(ctx, item.now)
		if field, taken := store.IsRouteTaken(err); taken {
			item.wrong = append(item.wrong, ProblemField{"body." + field.Field, field.Reason})
		} else if err != nil {
			return err
		}
	}
	return nil
}

// writes tells that a row is well so far, and makes a difference.
func (i *importedProxy) writes() bool {
	return len(i.wrong) == 0 && (i.was.ID == "" || len(i.changed) > 0)
}

// check holds what was written against the table as it would become.
func (p *proxyImport) check(ctx context.Context) error {
	at := map[string]*importedProxy{}
	var ids []string
	for n := range p.items {
		if item := &p.items[n]; item.writes() {
			at[item.now.ID] = item
			ids = append(ids, item.now.ID)
		}
	}
	for _, f := range routing.Faults(ctx, p.tx, p.policy, ids...) {
		reason := f.Reason
		if strings.HasPrefix(f.Field, "basic_auth[") {
			reason += ": it is not in the document, write it there as password"
		}
		at[f.Rule].wrong = append(at[f.Rule].wrong, ProblemField{"body." + f.Field, reason})
	}
	for _, item := range at {
		err := p.certificate(item.now)
		if problem, ok := errors.AsType[*Problem](err); ok {
			item.wrong = append(item.wrong, problem.Errors...)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (p *proxyImport) refused() bool {
	return slices.ContainsFunc(p.items, func(i importedProxy) bool { return len(i.wrong) > 0 })
}

func (p *proxyImport) changes() bool {
	return slices.ContainsFunc(p.items, func(i importedProxy) bool { return i.writes() })
}

// tell writes an event for each that was created or changed.
func (p *proxyImport) tell(ctx context.Context) error {
	for _, item := range p.items {
		if !item.writes() {
			continue
		}
		e := updatedRoute(ctx, item.was, item.now, item.changed)
		if item.was.ID == "" {
			e = routeEvent(ctx, item.now, "created", nil)
		}
		e.Data["imported"] = true
		if err := p.tx.Emit(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// located names the fields of a row by its place in the document.
func located(n int, fields []ProblemField) []ProblemField {
	out := make([]ProblemField, len(fields))
	for i, f := range fields {
		out[i] = ProblemField{fmt.Sprintf("body.document.proxies[%d].%s", n, strings.TrimPrefix(f.Location, "body.")), f.Message}
	}
	return out
}

// problem names all that is wrong with the document.
func (p *proxyImport) problem() error {
	wrong := newProblem(http.StatusUnprocessableEntity, codeInvalid, "the document is refused, nothing was imported").hint("a dry run tells what would become of each row")
	for n, item := range p.items {
		wrong.Errors = append(wrong.Errors, located(n, item.wrong)...)
	}
	return wrong
}

func (p *proxyImport) result(applied bool) proxyImportJSON {
	j := proxyImportJSON{Applied: applied, Items: []proxyImportItemJSON{}}
	for n, item := range p.items {
		row := proxyImportItemJSON{Index: n, ID: item.was.ID, Name: fmt.Sprintf("proxies[%d]", n), Changed: []string{}, Errors: located(n, item.wrong)}
		if len(item.now.Domains) > 0 {
			row.Name = proxy.Address(item.now.Domains[0]).String()
		}
		switch {
		case len(item.wrong) > 0:
			row.Action, j.Refused = "refused", j.Refused+1
		case item.was.ID == "":
			row.Action, j.Created = "create", j.Created+1
		case len(item.changed) > 0:
			row.Action, row.Changed, j.Changed = "change", item.changed, j.Changed+1
		default:
			row.Action, j.Unchanged = "unchanged", j.Unchanged+1
		}
		j.Items = append(j.Items, row)
	}
	return j
}
