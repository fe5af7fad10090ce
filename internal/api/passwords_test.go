package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// peopleRow is a row of a document with so many passwords.
func peopleRow(domain string, n int) string {
	people := make([]string, n)
	for i := range people {
		people[i] = fmt.Sprintf(`{"user":"u%d","password":"correct horse %d"}`, i, i)
	}
	return fmt.Sprintf(`{"domains":[%q],"targets":["http://10.0.0.5:3000"],"basic_auth":[%s]}`, domain, strings.Join(people, ","))
}

// importOf is a document of one proxy with a few passwords, as the handler gets it.
func importOf(domain string, people ...credentialJSON) *importProxiesIn {
	in := &importProxiesIn{}
	item := proxyDocItemJSON{Targets: &[]string{"http://10.0.0.5:3000"}}
	item.Domains, item.BasicAuth = &[]string{domain}, &people
	in.Body.Document.Proxies = []proxyDocItemJSON{item}
	return in
}

// slowly hashes passwords when it is let, and tells of each that it has begun.
type slowly struct{ begun, let chan struct{} }

func newSlowly() slowly { return slowly{make(chan struct{}, 1), make(chan struct{})} }

func (l slowly) passwords() *passwords {
	p := newPasswords()
	real := p.hash
	p.hash = func(password string) (string, error) {
		l.begun <- struct{}{}
		<-l.let // a test that has failed lets nobody go on, and waits for nobody
		return real(password)
	}
	return p
}

// TestAnImportHoldsUpNoWriteWhileItHashes: also not a dry run, and what others change meanwhile stays right.
func TestAnImportHoldsUpNoWriteWhileItHashes(t *testing.T) {
	f := newFrontBed(t)
	slow := newSlowly()
	s := &server{d: f.deps, log: f.deps.Log, passwords: slow.passwords()}
	for _, dry := range []bool{true, false} {
		in := importOf("wiki.example", credentialJSON{User: "anna", Password: "correct horse"})
		in.Body.DryRun = dry
		done := make(chan error, 1)
		go func() {
			got, err := s.importProxies(t.Context(), in)
			if err == nil && (got.Body.Created != 1 || got.Body.Applied == dry) {
				err = fmt.Errorf("it is %+v", got.Body)
			}
			done <- err
		}()
		waittest.Next(t, "a password is hashed", slow.begun)
		f.must(f.db.Update(t.Context(), func(*store.Tx) error { return nil }))
		slow.let <- struct{}{}
		f.must(waittest.Next(t, "the import ends", done))
	}
	if status, _ := f.ask("wiki.example", "/"); status != http.StatusUnauthorized {
		t.Errorf("it answers %d", status)
	}
}

// TestWhoLeavesHasNoMorePasswordsHashed, and waits for nobody's.
func TestWhoLeavesHasNoMorePasswordsHashed(t *testing.T) {
	f := newFrontBed(t)
	slow := newSlowly()
	s := &server{d: f.deps, log: f.deps.Log, passwords: slow.passwords()}
	people := []credentialJSON{{User: "anna", Password: "correct horse"}, {User: "bert", Password: "battery staple"}}
	ask := func() (context.CancelFunc, <-chan error) {
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := s.importProxies(ctx, importOf("wiki.example", people...))
			done <- err
		}()
		return leave, done
	}
	leave, first := ask()
	waittest.Next(t, "a password is hashed", slow.begun)
	leaveToo, second := ask() // it waits for the only place
	leaveToo()
	if err := waittest.Next(t, "the one who waits and leaves", second); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits got %v", err)
	}
	leave()
	slow.let <- struct{}{}
	if err := waittest.Next(t, "the one who leaves", first); !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	select {
	case <-slow.begun:
		t.Error("another password was hashed")
	default:
	}
	if l, err := f.viewer.Proxies(t.Context(), client.RouteQuery{}); err != nil || len(l.Items) != 0 {
		t.Errorf("something was imported: %+v, %v", l.Items, err)
	}
}

// TestANewRouteLeadsToWhatServesOnceItsPasswordsAreHashed: a deploy that switches meanwhile knows nothing of it yet.
func TestANewRouteLeadsToWhatServesOnceItsPasswordsAreHashed(t *testing.T) {
	f := newFrontBed(t)
	slow := newSlowly()
	s := &server{d: f.deps, log: f.deps.Log, passwords: slow.passwords()}
	st := f.shop("shop", "live")
	former, _ := f.serving(st, "shop-1", target(t, "one"))
	in := &createRouteIn{}
	in.Body.StageID, in.Body.Port = st.ID, 80
	in.Body.Domains, in.Body.BasicAuth = &[]string{"shop.example"}, &[]credentialJSON{{User: "anna", Password: "correct horse"}}
	type made struct {
		*versioned[routeJSON]
		err error
	}
	done := make(chan made, 1)
	go func() {
		v, err := s.createRoute(context.WithValue(t.Context(), visitKey{}, visit{powers: powers{role: operator}}), in)
		done <- made{v, err}
	}()
	select {
	case <-slow.begun:
	case got := <-done:
		t.Fatal(got.err)
	case <-time.After(patience):
		t.Fatal("its password is not hashed")
	}
	now, _ := f.serving(st, "shop-2", target(t, "two"))
	_, err := f.operator.StopInstance(t.Context(), former.ID)
	f.must(err)
	slow.let <- struct{}{}
	got := waittest.Next(t, "the route is made", done)
	f.must(got.err)
	if got.Body.InstanceID != now.ID {
		t.Errorf("it leads to %s, which was stopped", got.Body.Instance)
	}
}

// TestOnlySoManyWaitForPasswords: further ones are sent away at once, a place is free again when one has ended, and who brings none waits for nobody.
func TestOnlySoManyWaitForPasswords(t *testing.T) {
	f := newFrontBed(t)
	slow := newSlowly()
	s := &server{d: f.deps, log: f.deps.Log, passwords: slow.passwords()}
	s.passwords.taken = make(chan struct{}, 2)
	anna := credentialJSON{User: "anna", Password: "correct horse"}
	ask := func(domain string) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := s.importProxies(t.Context(), importOf(domain, anna))
			done <- err
		}()
		return done
	}
	first := ask("a.example")
	waittest.Next(t, "a password is hashed", slow.begun)
	fields := RouteFields{BasicAuth: &[]credentialJSON{anna}}
	leave, err := s.passwords.takeIn() // as who waits behind it
	f.must(err)
	for what, refused := range map[string]error{"an import": waittest.Next(t, "an import is refused", ask("b.example")), "a proxy": s.passwords.keep(t.Context(), &fields, nil)} {
		p, ok := errors.AsType[*Problem](refused)
		if !ok || p.Status != http.StatusServiceUnavailable || p.Code != codeBusy || p.GetHeaders().Get("Retry-After") == "" {
			t.Errorf("%s beside too many: %v", what, refused)
		}
	}
	if _, err := s.importProxies(t.Context(), importOf("c.example", credentialJSON{User: "anna"})); err != nil {
		if p, ok := errors.AsType[*Problem](err); ok && p.Code == codeBusy {
			t.Errorf("without a password: %v", err)
		}
	}
	leave()
	second := ask("d.example")
	slow.let <- struct{}{}
	f.must(waittest.Next(t, "the first import ends", first))
	waittest.Next(t, "the password of the second is hashed", slow.begun)
	slow.let <- struct{}{}
	f.must(waittest.Next(t, "the second import ends", second))
	if n := len(s.passwords.taken); n != 0 {
		t.Errorf("%d are still taken in", n)
	}
}

// TestADocumentBringsOnlySoManyPasswords: it is refused at once, by the first that is too many.
func TestADocumentBringsOnlySoManyPasswords(t *testing.T) {
	f := newFrontBed(t)
	doc := proxiesDoc(peopleRow("a.example", 100), peopleRow("b.example", 99), peopleRow("c.example", 3))
	for _, dry := range []bool{true, false} {
		_, err := f.operator.ImportProxies(t.Context(), doc, dry)
		p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Location != "body.document.proxies[2].basic_auth[1].password" || !strings.Contains(p.Errors[0].Message, "at most 200") {
			t.Errorf("refused as %+v", p)
		}
	}
	if l, err := f.viewer.Proxies(t.Context(), client.RouteQuery{}); err != nil || len(l.Items) != 0 {
		t.Errorf("something was imported: %+v, %v", l.Items, err)
	}
}

func TestPasswordsThatStay(t *testing.T) {
	s := &server{passwords: newPasswords()}
	keep := func(password string, former string) string {
		t.Helper()
		got, err := s.passwords.one(t.Context(), password, former)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	hash := keep("correct horse", "")
	if again := keep("correct horse", hash); again != hash {
		t.Error("the same password was hashed anew")
	}
	if other := keep("battery staple", hash); other == hash || other == "" {
		t.Error("another password kept the hash")
	}
}
