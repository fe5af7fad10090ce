package sso

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// elsewhere is an address that is not written as one of this machine. It is, so that a test sees whether it is asked.
func elsewhere(at string) string { return strings.Replace(at, "127.0.0.1", "[::ffff:127.0.0.1]", 1) }

// TestWhereUserInfoIs: a token is sent there.
func TestWhereUserInfoIs(t *testing.T) {
	for what, tt := range map[string]struct {
		at    func(issuer string) string
		asked int
	}{
		"on this machine":      {func(issuer string) string { return issuer + "/userinfo" }, 1},
		"with a query":         {func(issuer string) string { return issuer + "/userinfo?tenant=a&x=" }, 1},
		"by http":              {func(issuer string) string { return elsewhere(issuer + "/userinfo") }, 0},
		"with somebody's name": {func(issuer string) string { return strings.Replace(issuer, "://", "://anna:secret@", 1) + "/userinfo" }, 0},
		"no address":           {func(string) string { return "/userinfo" }, 0},
	} {
		h := newHouse(t)
		h.info = tells(map[string]any{"sub": "42", "groups": []string{"ops"}})
		h.says = map[string]any{"userinfo_endpoint": tt.at(h.provider.Issuer)}
		h.provider.AllowedGroups = []string{"ops"}
		who, err := h.signIn(t)
		if h.asked != tt.asked || (err == nil) != (tt.asked == 1) {
			t.Errorf("%s: %+v, %v, asked %d times", what, who, err, h.asked)
		}
		if err != nil && (!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "https://") || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v", what, err)
		}
		h.claims = map[string]any{"groups": []string{"ops"}} // nothing is looked for there
		if _, err := h.signIn(t); err != nil || h.asked != tt.asked {
			t.Errorf("%s, all in the token: %v, asked %d times", what, err, h.asked)
		}
	}
}

// TestWhereCodesAreSpentAndKeysAre: the secret is sent to the one, and whoever writes the other can be anybody.
func TestWhereCodesAreSpentAndKeysAre(t *testing.T) {
	for name, path := range map[string]string{"token_endpoint": "/token", "jwks_uri": "/keys"} {
		h, f := newHouse(t), NewFlows()
		for what, at := range map[string]any{
			"by http": elsewhere(h.provider.Issuer + path), "with somebody's name": strings.Replace(h.provider.Issuer, "://", "://anna:secret@", 1) + path,
			"no address": path, "none": nil, "of another kind": "ftp://127.0.0.1" + path,
		} {
			h.says = map[string]any{name: at}
			_, _, begun := f.Begin(t.Context(), h.provider)
			for _, err := range []error{begun, f.Test(t.Context(), h.provider)} {
				if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "https://") || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s %s: %v", name, what, err)
				}
			}
		}
		h.says = map[string]any{name: 1}
		if err := f.Test(t.Context(), h.provider); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a number as %s: %v", name, err)
		}
		h.says = map[string]any{name: h.provider.Issuer + path + "?tenant=a&x="} // which no refusal before is kept for
		if who, err := h.signIn(t); err != nil || who.Subject != "42" || h.strangers != 0 {
			t.Errorf("%s with a query: %+v, %v, others were asked %d times", name, who, err, h.strangers)
		}
	}
}

// TestWhereTheProviderLeadsOn: Go sends a token on to the same host, also where it is not asked by TLS any more.
func TestWhereTheProviderLeadsOn(t *testing.T) {
	want := everyEndpoint()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		led := func(to func(at string) string) (*house, error) {
			h := newHouse(t)
			h.info = tells(map[string]any{"sub": "42", "groups": []string{"ops"}})
			h.provider.AllowedGroups = []string{"ops"}
			h.leads = map[string]string{path: to(h.provider.Issuer + path)}
			_, err := h.signIn(t)
			return h, err
		}
		if h, err := led(elsewhere); !errors.Is(err, want[path]) || !strings.Contains(err.Error(), "leads on to") || h.strangers != 0 {
			t.Errorf("%s to where all can read: %v, asked %d times there", path, err, h.strangers)
		}
		if _, err := led(func(at string) string { return at }); !errors.Is(err, want[path]) || !strings.Contains(err.Error(), "on and on") {
			t.Errorf("%s in a circle: %v", path, err)
		}
		if h, err := led(func(at string) string { return at + "?moved" }); err != nil || h.asked != 1 {
			t.Errorf("%s to where it may: %v, asked %d times", path, err, h.asked)
		}
	}
}
