// Command op is an OpenID provider made of Zitadel's code (github.com/zitadel/oidc, a certified implementation), for the tests of the sign-in.
//
// It listens at the address that it is given and says its issuer on standard output. It keeps all in memory: two people, and clients that
// stand below. It takes one word a line on standard input and says "done": "rotate" signs with another key from then on and publishes the former
// one, too; "hide" signs with one that is not published. It ends with its standard input, so that it never outlives a test.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves at an address for a relying party at another one, until its standard input ends.
func run(ctx context.Context, address, relying string) error {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	var l net.ListenConfig
	listener, err := l.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	issuer := "http://" + listener.Addr().String()
	h, err := newHouse(relying)
	if err != nil {
		return err
	}
	handler, err := h.handler(issuer)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	fmt.Println(issuer)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := h.told(in.Text()); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return server.Close()
}

// house is the storage of Zitadel's example with keys that change, groups, and clients of our own.
type house struct {
	*storage.Storage
	relying string

	mu     sync.Mutex
	keys   []key // the last one signs
	scopes map[string][]string
}

func newHouse(relying string) (*house, error) {
	storage.RegisterClients(
		storage.WebClient("docker-watcher", "s3cret", relying+"/api/oidc/callback"),
		storage.WebClient("told-in-the-token", "s3cret", relying+"/api/oidc/callback"),
		storage.NativeClient("public", relying+"/api/oidc/callback"),
	)
	first, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return &house{
		Storage: storage.NewStorage(people{}), relying: relying, scopes: map[string][]string{},
		keys: []key{{id: "0", algorithm: jose.RS256, private: first, public: first.Public(), published: true}},
	}, nil
}

// told does what a line of the standard input says.
func (h *house) told(what string) error {
	if what != "rotate" && what != "hide" {
		return fmt.Errorf("nobody knows what %q is", what)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = append(h.keys, key{id: fmt.Sprint(len(h.keys)), algorithm: jose.ES256, private: private, public: private.Public(), published: what == "rotate"})
	return nil
}

func (h *house) handler(issuer string) (http.Handler, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	provider, err := op.NewProvider(&op.Config{
		CryptoKey: secret, CodeMethodS256: true, SupportedScopes: append(slices.Clone(op.DefaultSupportedScopes), groupsScope),
	}, h, op.StaticIssuer(issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, err
	}
	back := op.AuthCallbackURL(provider)
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.HandleFunc("GET /login/username", func(w http.ResponseWriter, r *http.Request) {
		_ = page.Execute(w, r.FormValue("authRequestID"))
	})
	mux.HandleFunc("POST /login/username", op.NewIssuerInterceptor(provider.IssuerFromRequest).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("id")
		if err := h.CheckUsernamePassword(r.FormValue("username"), r.FormValue("password"), id); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, back(r.Context(), id), http.StatusFound)
	}))
	return mux, nil
}

var page = template.Must(template.New("").Parse(`<!doctype html><title>Sign in</title>
<form method="post"><input type="hidden" name="id" value="{{.}}"><input name="username"><input name="password" type="password"><button>Sign in</button></form>`))

// key is one that signs, or has signed.
type key struct {
	id              string
	algorithm       jose.SignatureAlgorithm
	private, public any
	published       bool
}

func (k key) ID() string                                  { return k.id }
func (k key) SignatureAlgorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k key) Key() any                                    { return k.private }

// publicKey is what is published of one.
type publicKey struct{ key }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return k.public }

// SigningKey is the newest key.
func (h *house) SigningKey(context.Context) (op.SigningKey, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[len(h.keys)-1], nil
}

// SignatureAlgorithms are those that a key may come to have.
func (h *house) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256}, nil
}

// KeySet are the published keys.
func (h *house) KeySet(context.Context) (all []op.Key, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.keys {
		if k.published {
			all = append(all, publicKey{k})
		}
	}
	return all, nil
}

// client is one of the example's that may ask for groups.
type client struct {
	op.Client
	relying string
	inToken bool
}

// IsScopeAllowed allows one beside the standard's.
func (c client) IsScopeAllowed(scope string) bool { return scope == groupsScope }

// IDTokenUserinfoClaimsAssertion tells whether the claims stand in the token, or at the UserInfo endpoint only, as OpenID Connect has it.
func (c client) IDTokenUserinfoClaimsAssertion() bool { return c.inToken }

// RestrictAdditionalIdTokenScopes does the same for groups.
func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string {
		if c.inToken {
			return scopes
		}
		return nil
	}
}

// PostLogoutRedirectURIs is where the relying party sends who signs out.
func (c client) PostLogoutRedirectURIs() []string { return []string{c.relying + "/"} }

// GetClientByClientID finds a client.
func (h *house) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := h.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{Client: c, relying: h.relying, inToken: id == "told-in-the-token"}, nil
}

const groupsScope = "groups"

// CreateAccessToken remembers what the token was asked for.
func (h *house) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	id, ends, err := h.Storage.CreateAccessToken(ctx, r)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.scopes[id] = r.GetScopes()
	return id, ends, err
}

// SetUserinfoFromRequest fills in an ID token.
func (h *house) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	grouped(info, r.GetSubject(), scopes)
	return h.Storage.SetUserinfoFromRequest(ctx, info, r, scopes)
}

// SetUserinfoFromToken answers at the UserInfo endpoint.
func (h *house) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, id, subject, origin string) error {
	h.mu.Lock()
	scopes := h.scopes[id]
	h.mu.Unlock()
	grouped(info, subject, scopes)
	return h.Storage.SetUserinfoFromToken(ctx, info, id, subject, origin)
}

func grouped(info *oidc.UserInfo, subject string, scopes []string) {
	if slices.Contains(scopes, groupsScope) {
		info.AppendClaims("groups", groups[subject])
	}
}

// people are who can sign in.
type people struct{}

var (
	known = map[string]*storage.User{
		"1": {ID: "1", Username: "anna", Password: "very secure", Email: "anna@example.org", EmailVerified: true},
		"2": {ID: "2", Username: "bert", Password: "very secure", Email: "bert@example.com"},
	}
	groups = map[string][]string{"1": {"ops", "shop team"}, "2": {}}
)

// GetUserByID finds somebody; nil where there is nobody.
func (people) GetUserByID(id string) *storage.User { return known[id] }

// GetUserByUsername does the same.
func (people) GetUserByUsername(name string) *storage.User {
	for _, u := range known {
		if u.Username == name {
			return u
		}
	}
	return nil
}

// ExampleClientID is a part of the example that nothing is done with.
func (people) ExampleClientID() string { return "nobody" }
