package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// mostPasswords is how many one document may bring. Each costs up to a tenth of a second of one processor.
const mostPasswords = 200

// mostHashing is how many requests with passwords are taken in at once: one whose turn it is, and those that wait. Each holds its document meanwhile, and the last
// of them waits for all the others.
const mostHashing = 20

// passwords makes what is kept of passwords, one at a time for all who ask: it costs a processor, and deploys and routes need theirs as well.
// It is never done inside of a transaction, which would hold up every other.
type passwords struct {
	place chan struct{}
	taken chan struct{} // by each request that is taken in
	hash  func(password string) (string, error)
	same  func(hash, password string) bool
}

func newPasswords() *passwords {
	return &passwords{place: make(chan struct{}, 1), taken: make(chan struct{}, mostHashing), hash: proxy.HashPassword, same: proxy.SamePassword}
}

// takeIn takes a request in; done must follow. Where there are too many it is sent away, to come again.
func (p *passwords) takeIn() (done func(), err error) {
	select {
	case p.taken <- struct{}{}:
		return func() { <-p.taken }, nil
	default:
		return nil, newProblem(http.StatusServiceUnavailable, codeBusy, "too many passwords wait for being hashed, nothing was done").hint("try again in a moment").with("Retry-After", "10")
	}
}

// keep has all passwords of the fields of a route hashed, where not too many requests ask for that at once.
func (p *passwords) keep(ctx context.Context, fields *RouteFields, former []proxy.Credential) error {
	if fields.passwords() == 0 {
		return nil
	}
	done, err := p.takeIn()
	if err != nil {
		return err
	}
	defer done()
	return p.keepThese(ctx, fields, former)
}

// keepThese has all passwords of the fields of a route hashed; one that is the former one of its user keeps its hash. Those that cannot be one are
// left for apply to tell. It ends with ctx. Its request was taken in.
func (p *passwords) keepThese(ctx context.Context, fields *RouteFields, former []proxy.Credential) error {
	if fields.passwords() == 0 {
		return nil
	}
	kept := make([]credentialJSON, len(*fields.BasicAuth))
	for i, c := range *fields.BasicAuth {
		if c.Password != "" && proxy.CheckPassword(c.Password) == nil {
			hash, err := p.one(ctx, c.Password, formerHash(former, c.User))
			if err != nil {
				return err
			}
			c.hash = hash
		}
		kept[i] = c
	}
	fields.BasicAuth = &kept
	return nil
}

// one waits for its turn.
func (p *passwords) one(ctx context.Context, password, former string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	select {
	case p.place <- struct{}{}:
		defer func() { <-p.place }()
	case <-ctx.Done():
		return "", fmt.Errorf("hash a password: %w", ctx.Err())
	}
	if former != "" && p.same(former, password) {
		return former, nil
	}
	return p.hash(password)
}

// formerHash is what is kept of the password of a user; empty: nothing.
func formerHash(former []proxy.Credential, user string) (hash string) {
	for _, f := range former {
		if f.User == user {
			hash = f.Hash
		}
	}
	return hash
}

// peopleOf are who may come in by a row as it is now.
func peopleOf(r store.Route) []proxy.Credential {
	o, err := routing.OptionsOf(r)
	if err != nil {
		return nil // what cannot be read is written anew
	}
	return o.BasicAuth
}

// passwords counts those that are given.
func (f RouteFields) passwords() (n int) {
	if f.BasicAuth == nil {
		return 0
	}
	for _, c := range *f.BasicAuth {
		if c.Password != "" {
			n++
		}
	}
	return n
}

// fewPasswords refuses a document that brings too many, by the name of the first that is.
func fewPasswords(rows []proxyDocItemJSON) error {
	n := 0
	for at, row := range rows {
		before := n
		if n += row.passwords(); n <= mostPasswords {
			continue
		}
		for i, c := range *row.BasicAuth {
			if c.Password == "" {
				continue
			}
			if before++; before > mostPasswords {
				said := located(at, []ProblemField{{fmt.Sprintf("body.basic_auth[%d].password", i), fmt.Sprintf("one document brings at most %d passwords", mostPasswords)}})
				p := newProblem(http.StatusUnprocessableEntity, codeInvalid, "the document is refused, nothing was imported").
					hint("import it in parts. Of a proxy that is there already, passwords that are left out stay as they are")
				p.Errors = said
				return p
			}
		}
	}
	return nil
}

// keepAll has the passwords of the rows of a document hashed, before it is written. What it compares them with may be changed until then: that
// costs no more than a hash that is made anew.
func (s *server) keepAll(ctx context.Context, rows []proxyDocItemJSON) error {
	if err := fewPasswords(rows); err != nil {
		return err
	}
	if !slices.ContainsFunc(rows, func(row proxyDocItemJSON) bool { return row.passwords() > 0 }) {
		return nil
	}
	done, err := s.passwords.takeIn()
	if err != nil {
		return err
	}
	defer done()
	for n := range rows {
		if rows[n].passwords() == 0 {
			continue
		}
		var ignored importedProxy // what is wrong is told when the row is applied
		was, err := findProxy(ctx, s.d.DB, rows[n], &ignored)
		if err != nil {
			return err
		}
		if err := s.passwords.keepThese(ctx, &rows[n].RouteFields, peopleOf(was)); err != nil {
			return err
		}
	}
	return nil
}
