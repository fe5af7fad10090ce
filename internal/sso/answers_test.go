package sso

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// everyEndpoint are those that the daemon asks itself, with what it says where one of them answers with what cannot be used.
func everyEndpoint() map[string]error {
	return map[string]error{"/.well-known/openid-configuration": ErrUnavailable, "/token": ErrUnavailable, "/keys": ErrDeclined, "/userinfo": ErrUnavailable}
}

// signIn goes there and back.
func (h *house) signIn(t *testing.T) (Identity, error) {
	t.Helper()
	f := NewFlows()
	where, cookie, err := f.Begin(t.Context(), h.provider)
	if err != nil {
		return Identity{}, err
	}
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	h.nonce = u.Query().Get("nonce")
	return f.Finish(t.Context(), h.provider, u.Query().Get("state"), cookie, "code")
}

// TestAnswersThatAreTooLong: each of them would do if it were shorter.
func TestAnswersThatAreTooLong(t *testing.T) {
	for path, want := range everyEndpoint() {
		answered := func(size int) error {
			h := newHouse(t)
			h.info = tells(map[string]any{"sub": "42", "groups": []string{"ops"}})
			h.provider.AllowedGroups = []string{"ops"}
			h.pad = map[string]int{path: size}
			_, err := h.signIn(t)
			return err
		}
		if err := answered(mostAnswer); err != nil {
			t.Errorf("%s, as much as may be: %v", path, err)
		}
		if path == "/token" { // oauth2 reads as much by itself, and not on
			continue
		}
		if err := answered(mostAnswer + 1); !errors.Is(err, want) || !strings.Contains(err.Error(), errTooLong.Error()) {
			t.Errorf("%s, more: %v", path, err)
		}
	}
}

// TestPagesOfErrorsAreNotKept: what is wrong is told, and not the page that a provider, or what is before it, wrote about it.
func TestPagesOfErrorsAreNotKept(t *testing.T) {
	page := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, strings.Repeat("<p>ü</p>", 10_000))
	}
	for path, want := range everyEndpoint() {
		h := newHouse(t)
		h.info = tells(map[string]any{"sub": "42", "groups": []string{"ops"}})
		h.provider.AllowedGroups = []string{"ops"}
		h.answers = map[string]func(http.ResponseWriter){path: page}
		who, err := h.signIn(t)
		if !errors.Is(err, want) || who.Subject != "" || !strings.Contains(err.Error(), "502") || len(err.Error()) > 2*mostTold || !utf8.ValidString(err.Error()) {
			t.Errorf("%s: %+v, %d bytes: %.500v", path, who, len(err.Error()), err)
		}
	}
	h := newHouse(t)
	h.answers = map[string]func(http.ResponseWriter){"/.well-known/openid-configuration": page}
	if err := NewFlows().Test(t.Context(), h.provider); !errors.Is(err, ErrUnavailable) || len(err.Error()) > 2*mostTold {
		t.Errorf("the test: %.500v", err)
	}
}

func TestTerse(t *testing.T) {
	inner := errors.New("short")
	if err := (terse{inner}); err.Error() != "short" || !errors.Is(err, inner) {
		t.Errorf("%v", err)
	}
	for shift := range 3 { // wherever the cut falls
		text := terse{fmt.Errorf("%s%s", strings.Repeat("x", shift), strings.Repeat("€", mostTold))}.Error()
		if len(text) > mostTold || len(text) < mostTold-5 || !utf8.ValidString(text) || !strings.HasSuffix(text, "€…") {
			t.Errorf("%d bytes: %q", len(text), text)
		}
	}
}

// padded adds white space to what is JSON, to a length.
func padded(text []byte, size int) []byte {
	var compact json.RawMessage
	if err := json.Unmarshal(text, &compact); err != nil {
		return text // a test sees it
	}
	return append(compact, strings.Repeat(" ", max(size-len(compact), 0))...)
}
