package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

// identityProvider is an identity provider at which otto, of the group ops, is signed in already: it sends browsers back at once. Where POST
// /leave was asked it lets nobody in any more.
func identityProvider(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	known := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: oidc.ES256}}, Algorithms: []string{oidc.ES256}}
	var mu sync.Mutex
	nonce, left, issuer := "", false, "" // of who serves; written before anybody asks
	mux := http.NewServeMux()
	mux.Handle("/", known)
	mux.HandleFunc("POST /leave", func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		left = true
	})
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked := r.URL.Query()
		nonce = asked.Get("nonce")
		back := url.Values{"state": {asked.Get("state")}, "code": {"a-code"}}
		if left {
			back = url.Values{"state": {asked.Get("state")}, "error": {"access_denied"}}
		}
		http.Redirect(w, r, asked.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		claims, err := json.Marshal(map[string]any{
			"iss": issuer, "aud": "docker-watcher", "sub": "42", "exp": time.Now().Add(time.Minute).Unix(), "nonce": nonce,
			"preferred_username": "otto", "groups": []string{"ops"},
		})
		if err != nil || r.PostFormValue("code") != "a-code" || r.PostFormValue("code_verifier") == "" {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": oidctest.SignIDToken(key, "k", oidc.ES256, string(claims))})
	})
	server := httptest.NewUnstartedServer(mux)
	issuer = "http://" + server.Listener.Addr().String()
	known.SetIssuer(issuer)
	server.Start()
	t.Cleanup(server.Close)
	return issuer
}
