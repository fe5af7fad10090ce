package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
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
		next(t, "a password is hashed", slow.begun)
		f.must(f.db.Update(t.Context(), func(*store.Tx) error { return nil }))
		slow.let <- struct{}{}
		f.must(next(t, "the import ends", done))
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
	next(t, "a password is hashed", slow.begun)
	leaveToo, second := ask() // it waits for the only place
	leaveToo()
	if err := next(t, "the one who waits and leaves", second); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits got %v", err)
	}
	leave()
	slow.let <- struct{}{}
	if err := next(t, "the one who leaves", first); !errors.Is(err, context.Canceled) {
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
