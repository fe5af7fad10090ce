package certs

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// dnsAPI pretends the API of a DNS service: it has one zone, example.com, of which it knows the records by number.
type dnsAPI struct {
	zone *zone

	mu      sync.Mutex
	asked   []string // METHOD path, in order
	records map[string]apiRecord
	next    int
	empty   bool // it knows of no zone
}

// apiRecord is a record, by its absolute name.
type apiRecord struct{ kind, name, text string }

const zoneNumber, theToken = "z1", "the-token"

func newDNSAPI(z *zone) *dnsAPI { return &dnsAPI{zone: z, records: map[string]apiRecord{}} }

// add writes a record, also into the zone, and returns its number.
func (a *dnsAPI) add(r apiRecord) (number string) {
	a.next++
	number = fmt.Sprintf("r%d", a.next)
	a.records[number] = r
	a.write(r, true)
	return number
}

// remove takes a record away; false: there is none of that number.
func (a *dnsAPI) remove(number string) bool {
	r, ok := a.records[number]
	if ok {
		delete(a.records, number)
		a.write(r, false)
	}
	return ok
}

func (a *dnsAPI) write(r apiRecord, there bool) {
	records := []libdns.Record{libdns.TXT{Name: libdns.RelativeName(r.name, "example.com"), Text: r.text}}
	if there {
		_, _ = a.zone.AppendRecords(context.Background(), "example.com.", records) // it cannot fail
		return
	}
	_, _ = a.zone.DeleteRecords(context.Background(), "example.com.", records) // as above
}

// cloudflare answers as https://api.cloudflare.com/client/v4 does.
func (a *dnsAPI) cloudflare(w http.ResponseWriter, r *http.Request) {
	fail := func(status, code int, why string) {
		answer(w, status, map[string]any{"success": false, "errors": []any{map[string]any{"code": code, "message": why}}, "result": nil})
	}
	tell := func(result any) {
		answer(w, http.StatusOK, map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result})
	}
	form := func(number string, rec apiRecord) map[string]any {
		return map[string]any{"id": number, "zone_id": zoneNumber, "zone_name": "example.com", "type": rec.kind, "name": rec.name, "content": `"` + rec.text + `"`, "ttl": 1}
	}
	if r.Header.Get("Authorization") != "Bearer "+theToken {
		fail(http.StatusForbidden, 9109, "Invalid access token")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/client/v4")
	query := r.URL.Query()
	records := "/zones/" + zoneNumber + "/dns_records"
	number := strings.TrimPrefix(path, records+"/")
	switch {
	case !ok:
		fail(http.StatusNotFound, 7003, "Could not route")
	case r.Method == http.MethodGet && path == "/zones":
		zones := []any{}
		if strings.TrimSuffix(query.Get("name"), ".") == "example.com" && !a.empty {
			zones = append(zones, map[string]any{"id": zoneNumber, "name": "example.com", "status": "active"})
		}
		tell(zones)
	case r.Method == http.MethodPost && path == records:
		var in struct{ Type, Name, Content string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Type != "TXT" || !strings.HasPrefix(in.Content, `"`) || !strings.HasSuffix(in.Content, `"`) {
			fail(http.StatusBadRequest, 9005, "Content for TXT record is invalid")
			return
		}
		rec := apiRecord{in.Type, strings.TrimSuffix(libdns.AbsoluteName(strings.TrimSuffix(in.Name, "."), "example.com"), "."), strings.Trim(in.Content, `"`)}
		tell(form(a.add(rec), rec))
	case r.Method == http.MethodGet && path == records:
		found := []any{}
		for n, rec := range a.records {
			if rec.kind == query.Get("type") && rec.name == strings.TrimSuffix(query.Get("name"), ".") && strings.Contains(rec.text, query.Get("content.contains")) {
				found = append(found, form(n, rec))
			}
		}
		tell(found)
	case r.Method == http.MethodDelete && a.remove(number):
		tell(map[string]any{"id": number})
	default:
		fail(http.StatusNotFound, 81044, "Record does not exist")
	}
}

// hetzner answers as https://dns.hetzner.com/api/v1 does.
func (a *dnsAPI) hetzner(w http.ResponseWriter, r *http.Request) {
	form := func(number string, rec apiRecord) map[string]any {
		return map[string]any{"id": number, "zone_id": zoneNumber, "type": rec.kind, "name": libdns.RelativeName(rec.name, "example.com"), "value": rec.text, "ttl": 0}
	}
	if r.Header.Get("Auth-Api-Token") != theToken {
		answer(w, http.StatusUnauthorized, map[string]any{"message": "Invalid authentication credentials"})
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v1")
	query := r.URL.Query()
	number := strings.TrimPrefix(path, "/records/")
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method == http.MethodGet && path == "/zones":
		zones := []any{}
		if query.Get("name") == "example.com" && !a.empty {
			zones = append(zones, map[string]any{"id": zoneNumber, "name": "example.com"})
		}
		answer(w, http.StatusOK, map[string]any{"zones": zones})
	case r.Method == http.MethodPost && path == "/records":
		var in struct {
			ZoneID            string `json:"zone_id"`
			Type, Name, Value string
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Type != "TXT" || in.ZoneID != zoneNumber || strings.HasSuffix(in.Name, ".") {
			answer(w, http.StatusUnprocessableEntity, map[string]any{"error": map[string]any{"message": "invalid record", "code": 422}})
			return
		}
		rec := apiRecord{in.Type, strings.TrimSuffix(libdns.AbsoluteName(in.Name, "example.com"), "."), in.Value}
		answer(w, http.StatusOK, map[string]any{"record": form(a.add(rec), rec)})
	case r.Method == http.MethodGet && path == "/records" && query.Get("zone_id") == zoneNumber:
		all := []any{}
		for n, rec := range a.records {
			all = append(all, form(n, rec))
		}
		answer(w, http.StatusOK, map[string]any{"records": all})
	case r.Method == http.MethodDelete && a.remove(number):
		answer(w, http.StatusOK, map[string]any{})
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, status int, what any) {
	text, err := json.Marshal(what)
	if err != nil {
		panic(err) // of what the tests wrote
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // who asked left if this fails
}

// serve has the client of a DNS service, which knows one address and takes no other, come to ours over real TLS.
func (a *dnsAPI) serve(t *testing.T, host string, by http.HandlerFunc) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Host != host {
			t.Errorf("asked %s: %v", r.Host, err)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		a.asked = append(a.asked, r.Method+" "+r.URL.Path)
		by(w, r)
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.RootCAs, config.ServerName = roots, "example.com" // which is what its certificate says
	ours := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != host+":443" {
			return nil, fmt.Errorf("%s is not to be asked", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	former := http.DefaultTransport
	http.DefaultTransport = ours
	t.Cleanup(func() {
		http.DefaultTransport = former
		ours.CloseIdleConnections()
	})
}

// pretended are the services that we know, and how each is pretended.
var pretended = map[string]struct {
	host    string
	records string // the path of the records
	by      func(a *dnsAPI) http.HandlerFunc
}{
	"cloudflare": {"api.cloudflare.com", "/client/v4/zones/" + zoneNumber + "/dns_records", func(a *dnsAPI) http.HandlerFunc { return a.cloudflare }},
	"hetzner":    {"dns.hetzner.com", "/api/v1/records", func(a *dnsAPI) http.HandlerFunc { return a.hetzner }},
}

// TestEveryServiceProvesADomain orders a certificate by the records of each service that we know, as it is asked over HTTP.
func TestEveryServiceProvesADomain(t *testing.T) {
	for _, service := range DNSServices() {
		t.Run(service, func(t *testing.T) {
			r := newAuthority(t, 90*day)
			r.zone.at["inside.example.com."] = "127.0.0.99"
			api, how := newDNSAPI(r.zone), pretended[service]
			other := api.add(apiRecord{"TXT", "example.com", "of somebody else"})
			api.serve(t, how.host, how.by(api))
			solver, err := names{services: dnsServices, resolvers: []string{r.zone.addr}, patience: propagation}.byRecord(service, theToken)
			if err != nil {
				t.Fatal(err)
			}
			seen := &watched{Solver: solver, api: api}
			a := asker{acme: r.acme, folder: Folder(t.TempDir()), solvers: map[string]acmez.Solver{acme.ChallengeTypeDNS01: seen}, log: slog.New(slog.DiscardHandler)}
			chain, key, err := a.order(t.Context(), "inside.example.com", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Check(chain, key, time.Now()); err != nil {
				t.Errorf("what was got is not good: %v", err)
			}
			if want := (apiRecord{"TXT", "_acme-challenge.inside.example.com", seen.challenge.DNS01KeyAuthorization()}); !slices.Equal(seen.during, []apiRecord{want}) {
				t.Errorf("written were %+v, want %+v", seen.during, want)
			}
			if len(api.records) != 1 || api.records[other].text != "of somebody else" {
				t.Errorf("what is left is %+v", api.records)
			}
			if !slices.Contains(api.asked, http.MethodPost+" "+how.records) || api.asked[len(api.asked)-1] != http.MethodDelete+" "+how.records+"/r2" {
				t.Errorf("it was asked %q", api.asked)
			}
		})
	}
}

// watched looks at the records while a proof is there.
type watched struct {
	acmez.Solver
	api       *dnsAPI
	challenge acme.Challenge
	during    []apiRecord // that were not there before
}

// Wait waits for the record to be seen, as the solver does.
func (w *watched) Wait(ctx context.Context, c acme.Challenge) error {
	w.challenge = c
	w.api.mu.Lock()
	for number, rec := range w.api.records {
		if number != "r1" {
			w.during = append(w.during, rec)
		}
	}
	w.api.mu.Unlock()
	return w.Solver.(acmez.Waiter).Wait(ctx, c)
}

// TestAServiceThatRefusesIsNoProof: neither a token that may not nor a zone that is elsewhere writes anything, and no token is told.
func TestAServiceThatRefusesIsNoProof(t *testing.T) {
	for _, service := range DNSServices() {
		for what, tt := range map[string]struct {
			token string
			empty bool
		}{"a wrong token": {token: "not-the-token"}, "no such zone": {token: theToken, empty: true}} {
			t.Run(service+": "+what, func(t *testing.T) {
				z := newZone(t)
				api, how := newDNSAPI(z), pretended[service]
				api.empty = tt.empty
				api.serve(t, how.host, how.by(api))
				solver, err := names{services: dnsServices, resolvers: []string{z.addr}, patience: propagation}.byRecord(service, tt.token)
				if err != nil {
					t.Fatal(err)
				}
				c := acme.Challenge{Type: acme.ChallengeTypeDNS01, KeyAuthorization: "x.y", Identifier: acme.Identifier{Type: "dns", Value: "inside.example.com"}}
				err = solver.Present(t.Context(), c)
				if err == nil || strings.Contains(err.Error(), tt.token) {
					t.Errorf("it says %v", err)
				}
				if tt.empty && !strings.Contains(err.Error(), "example.com") {
					t.Errorf("the zone is not named: %v", err)
				}
				if away, is := errors.AsType[*url.Error](err); is {
					t.Errorf("the service was not reached: %v", away)
				}
				if len(api.asked) == 0 || len(api.records) != 0 || z.ever != 0 {
					t.Errorf("it was asked %q, and holds %v", api.asked, api.records)
				}
			})
		}
	}
}
