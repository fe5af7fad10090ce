package registry

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// tokenServer hands out tokens as those of GitLab, Harbor and Docker Hub do: to pull to everybody, more to one user.
type tokenServer struct {
	t           *testing.T
	key         *rsa.PrivateKey
	certificate []byte
	life        atomic.Int64 // of a token, in seconds
	given       atomic.Int64
}

const (
	tokenIssuer  = "test-issuer"
	tokenService = "test-registry"
)

func newTokenServer(t *testing.T) (*tokenServer, string, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: tokenIssuer}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	s := &tokenServer{t: t, key: key}
	if s.certificate, err = x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key); err != nil {
		t.Fatal(err)
	}
	s.life.Store(300)
	file := filepath.Join(t.TempDir(), "issuer.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	// By its name: the library asks no token server that a registry names by a private address.
	return s, strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/token", file
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, password, login := r.BasicAuth()
	if login && (name != user || password != canary) {
		respond(w, http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong user name or password"}]}`)
		return
	}
	s.given.Add(1)
	access := []map[string]any{}
	for _, scope := range r.URL.Query()["scope"] {
		kind, rest, _ := strings.Cut(scope, ":")
		of, actions, _ := strings.Cut(rest, ":")
		switch {
		case login:
			access = append(access, map[string]any{"type": kind, "name": of, "actions": strings.Split(actions, ",")})
		case kind == "repository" && strings.HasPrefix(of, "public/"):
			access = append(access, map[string]any{"type": kind, "name": of, "actions": []string{"pull"}})
		}
	}
	life := time.Duration(s.life.Load()) * time.Second
	text, err := json.Marshal(map[string]any{"token": s.sign(map[string]any{
		"iss": tokenIssuer, "sub": name, "aud": tokenService, "exp": time.Now().Add(life).Unix(), "nbf": time.Now().Add(-time.Minute).Unix(),
		"iat": time.Now().Unix(), "jti": rand.Text(), "access": access,
	})})
	if err != nil {
		s.t.Error(err)
	}
	respond(w, http.StatusOK, string(text))
}

func (s *tokenServer) sign(claims map[string]any) string {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			s.t.Error(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]any{"typ": "JWT", "alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(s.certificate)}}) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum[:])
	if err != nil {
		s.t.Error(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestTokenRegistry asks a real registry that takes the tokens of a server beside it.
func TestTokenRegistry(t *testing.T) {
	server, realm, certificate := newTokenServer(t)
	host := enginetest.TokenRegistry(t, realm, tokenService, tokenIssuer, certificate)
	login := as(user, canary)
	digest := push(t, host+"/public/shop:1.0", login)
	push(t, host+"/acme/shop:1.0", login)

	known := knowing(Access{Host: host, Username: user, Password: canary, PlainHTTP: true})
	unknown := knowing(Access{Host: host, PlainHTTP: true})
	for what, all := range map[string]*Registries{"with a login": known, "a stranger": unknown} {
		if got, err := all.Digest(t.Context(), host+"/public/shop", "1.0"); err != nil || got != digest {
			t.Errorf("%s: %q, %v", what, got, err)
		}
		if tags, err := all.Tags(t.Context(), host+"/public/shop"); err != nil || !slices.Equal(tags, []string{"1.0"}) {
			t.Errorf("%s: %v, %v", what, tags, err)
		}
	}
	if _, err := known.Tags(t.Context(), host+"/acme/shop"); err != nil {
		t.Error(err)
	}
	_, err := unknown.Tags(t.Context(), host+"/acme/shop")
	wantClass(t, err, ClassUnauthorized)

	check := func(access Access) (Sight, error) {
		access.Host, access.PlainHTTP = host, true
		c, err := knowing(access).At(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		return c.Check(t.Context(), "")
	}
	if s, err := check(Access{Username: user, Password: canary}); err != nil || s.Repositories != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := check(Access{}); err != nil || s.Repositories != -1 {
		t.Errorf("a stranger: %+v, %v", s, err)
	}
	_, err = check(Access{Username: user, Password: "wrong"})
	wantClass(t, err, ClassUnauthorized)

	// Many questions take one token, and one that has ended is replaced without anybody noticing.
	before := server.given.Load()
	for range 5 {
		if _, err := known.Tags(t.Context(), host+"/public/shop"); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.given.Load() - before; n != 0 {
		t.Errorf("%d tokens for 5 questions more", n)
	}
	server.life.Store(-120) // the registry allows for a minute of another clock
	short := knowing(Access{Host: host, Username: user, Password: canary, PlainHTTP: true})
	_, err = short.Tags(t.Context(), host+"/public/shop")
	wantClass(t, err, ClassUnauthorized)
	server.life.Store(300)
	if _, err = short.Tags(t.Context(), host+"/public/shop"); err != nil {
		t.Errorf("with a new token in place of one that had ended: %v", err)
	}
}
