package api

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/mail"
	"net/url"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// AuthorityFields say who is asked for certificates, by ACME.
type AuthorityFields struct {
	Email     string `json:"email" maxLength:"250" doc:"where the authority writes to; empty: it is not told"`
	Directory string `json:"directory" maxLength:"500" doc:"URL of its ACME directory; empty: Let's Encrypt"`
	Roots     string `json:"roots" maxLength:"100000" doc:"PEM: for a private authority, whom we believe that they are it; empty: whom the system believes"`
	EABKeyID  string `json:"eab_key_id" maxLength:"500" doc:"external account binding: the key id that the authority gave; empty: none is needed"`
	DNS       string `json:"dns,omitempty" enum:",cloudflare,hetzner" doc:"the service whose records prove domains (DNS-01), also those that the authority cannot come to; empty: it comes to the domains"`
}

type authorityNowJSON struct {
	AuthorityFields
	DefaultDirectory string `json:"default_directory"`
	EABSecretSet     bool   `json:"eab_secret_set" doc:"the secret of the binding is known; it is never answered"`
	DNSTokenSet      bool   `json:"dns_token_set" doc:"the token of the DNS service is known; it is never answered"`
}

func (s *server) getAuthority(ctx context.Context, _ *none) (*out[authorityNowJSON], error) {
	a, err := s.d.DB.Authority(ctx)
	if err != nil {
		return nil, err
	}
	return answer(authorityNowJSON{
		AuthorityFields: AuthorityFields{Email: a.Email, Directory: a.Directory, Roots: a.Roots, EABKeyID: a.EABKey, DNS: a.DNS}, DNSTokenSet: a.DNSToken != "", DefaultDirectory: certs.LetsEncrypt, EABSecretSet: a.EABSecret != "",
	}), nil
}

type authorityIn struct {
	Body struct {
		AuthorityFields
		EABSecret string `json:"eab_secret,omitempty" maxLength:"500" writeOnly:"true" doc:"the MAC key of the binding, base64url; absent: it stays"`
		DNSToken  string `json:"dns_token,omitempty" maxLength:"500" writeOnly:"true" doc:"API token that may write records of the zones; absent: it stays"`
	}
}

// putAuthority says who certificates are asked of from now on. Those of another authority are served until the new one has given its own.
func (s *server) putAuthority(ctx context.Context, in *authorityIn) (*out[authorityNowJSON], error) {
	b := in.Body
	if b.Directory == certs.LetsEncrypt {
		b.Directory = ""
	}
	a := store.Authority{Email: b.Email, Directory: b.Directory, Roots: b.Roots, EABKey: b.EABKeyID, DNS: b.DNS}
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		before, err := tx.Authority(ctx)
		if err != nil {
			return err
		}
		if err := wrongRoute(authorityFaults(a, b.EABSecret, b.DNSToken, before)); err != nil {
			return err
		}
		save := func() error { return tx.SaveAuthority(ctx, a, b.EABSecret, b.DNSToken) }
		if err := s.keepsTable(ctx, tx, "body.directory", save); err != nil {
			return err
		}
		return tx.Emit(ctx, authorityEvent(ctx, before, a, b.EABSecret != "", b.DNSToken != ""))
	})
	if err != nil {
		return nil, err
	}
	if err := s.serveRoutes(ctx); err != nil {
		return nil, err
	}
	return s.getAuthority(ctx, &none{})
}

func authorityFaults(a store.Authority, secret, token string, before store.Authority) (wrong []ProblemField) {
	bad := func(field, reason string) { wrong = append(wrong, ProblemField{"body." + field, reason}) }
	if a.Email != "" {
		if at, err := mail.ParseAddress(a.Email); err != nil || at.Address != a.Email {
			bad("email", "an address such as ops@example.com is wanted")
		}
	}
	if a.Directory != "" {
		if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			bad("directory", "a URL such as https://ca.internal/acme/directory is wanted")
		}
	}
	if a.Roots != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(a.Roots)) {
		bad("roots", "certificates as PEM are wanted: -----BEGIN CERTIFICATE-----")
	}
	if secret != "" {
		if _, err := base64.RawURLEncoding.DecodeString(secret); err != nil {
			bad("eab_secret", "it is base64url without '=' at its end, as the authority gave it")
		}
	}
	switch {
	case a.EABKey == "" && secret != "":
		bad("eab_key_id", "the secret belongs to a key id")
	case a.EABKey != "" && secret == "" && (before.EABSecret == "" || before.EABKey != a.EABKey):
		bad("eab_secret", "the secret of this key id is needed")
	}
	switch {
	case a.DNS == "" && token != "":
		bad("dns", "the token belongs to a service")
	case a.DNS != "" && token == "" && (before.DNSToken == "" || before.DNS != a.DNS):
		bad("dns_token", "a token that may write records there is needed")
	}
	return wrong
}

// authorityEvent names what was changed, and no secret.
func authorityEvent(ctx context.Context, before, after store.Authority, newSecret, newToken bool) store.Event {
	e := apiEvent(ctx, "certificate.authority", "who is asked for certificates was changed")
	changed := []string{}
	for _, f := range []struct {
		name  string
		moved bool
	}{
		{"email", before.Email != after.Email},
		{"directory", before.Directory != after.Directory},
		{"roots", before.Roots != after.Roots},
		{"eab_key_id", before.EABKey != after.EABKey},
		{"eab_secret", newSecret},
		{"dns", before.DNS != after.DNS},
		{"dns_token", newToken},
	} {
		if f.moved {
			changed = append(changed, f.name)
		}
	}
	e.Data["changed"], e.Data["directory"] = changed, after.Directory
	d := store.Difference{}
	d.Note("email", before.Email, after.Email)
	d.Note("directory", before.Directory, after.Directory)
	d.Note("roots", before.Roots, after.Roots)
	d.Note("eab_key_id", before.EABKey, after.EABKey)
	d.Note("dns", before.DNS, after.DNS)
	d.NoteSecret("eab_secret", newSecret)
	d.NoteSecret("dns_token", newToken)
	d.Hide() // only admins may read it, and events are for all
	e.Differ(d)
	return e
}
