package api

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const longPassword = "a long password"

// codeNow is what an authenticator shows now.
func codeNow(t *testing.T, secret string) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&0xf:])&0x7fffffff%1_000_000)
}

// person makes a user with a password and signs them in.
func (b *bed) person(name, role string, grants ...client.Grant) *client.Client {
	b.t.Helper()
	_, err := b.admin.CreateUser(b.t.Context(), client.NewUser{Name: name, Role: role, Password: longPassword, Grants: grants})
	b.must(err)
	return b.entered(name, longPassword)
}

func (b *bed) entered(name, password string) *client.Client {
	b.t.Helper()
	credential, _, err := b.nobody.Login(b.t.Context(), name, password)
	b.must(err)
	return b.nobody.As(credential)
}

func TestPeople(t *testing.T) {
	b := newBed(t)
	made, err := b.admin.CreateUser(t.Context(), client.NewUser{Name: "Bert", Role: "operator"})
	if err != nil || made.Name != "bert" || made.LinkCode == "" || made.HasPassword || made.LinkUntil.IsZero() {
		t.Fatalf("%+v, %v", made, err)
	}
	if u, err := b.admin.User(t.Context(), "bert"); err != nil || u.LinkCode != "" || u.ID != made.ID {
		t.Errorf("the code is told twice: %+v, %v", u, err)
	}
	_, err = b.nobody.SpendPasswordLink(t.Context(), made.LinkCode, "short")
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.password" {
		t.Errorf("%+v", p)
	}
	name, err := b.nobody.SpendPasswordLink(t.Context(), made.LinkCode, longPassword)
	if err != nil || name != "bert" {
		t.Fatal(name, err)
	}
	_, err = b.nobody.SpendPasswordLink(t.Context(), made.LinkCode, longPassword)
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
	bert := b.entered("bert", longPassword)
	if me, err := bert.Me(t.Context()); err != nil || me.Role != "operator" || me.Actor != "user:bert" || !me.HasPassword {
		t.Errorf("%+v, %v", me, err)
	}
	_, err = bert.Users(t.Context())
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)

	role := client.UserChange{Role: "viewer"}
	if u, err := b.admin.UpdateUser(t.Context(), "bert", role); err != nil || u.Role != "viewer" {
		t.Errorf("%+v, %v", u, err)
	}
	_, err = bert.Scan(t.Context(), "")
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	users, err := b.admin.Users(t.Context())
	if err != nil || len(users) != 1 || users[0].SignedInAt.IsZero() {
		t.Errorf("%+v, %v", users, err)
	}

	if u, err := b.admin.DisableUser(t.Context(), "bert"); err != nil || u.DisabledAt.IsZero() {
		t.Errorf("%+v, %v", u, err)
	}
	_, err = bert.Me(t.Context())
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
	_, err = b.admin.EnableUser(t.Context(), "bert")
	b.must(err)
	b.must(b.admin.DeleteUser(t.Context(), "bert"))
	_, err = b.admin.User(t.Context(), "bert")
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	for _, kind := range []string{"user.created", "user.password_set", "user.powers_changed", "user.disabled", "user.enabled", "user.removed"} {
		if e := b.event(kind); e.Data["addr"] != "203.0.113.7" || e.Data["user"] != "bert" {
			t.Errorf("%s does not say who and from where: %+v", kind, e)
		}
	}
}

// TestTheOlderWriteOfAUserDoesNotWin: of two admins who look at the same user, the second to save is told.
func TestTheOlderWriteOfAUserDoesNotWin(t *testing.T) {
	b := newBed(t)
	b.shop("shop", "dev")
	seen, err := b.admin.CreateUser(t.Context(), client.NewUser{Name: "bert", Role: "none"})
	b.must(err)
	granted := []client.Grant{{ProjectID: "shop", Role: "operator"}}
	first, err := b.admin.UpdateUser(t.Context(), "bert", client.UserChange{Grants: &granted, Revision: seen.Revision})
	if err != nil || first.Revision == seen.Revision || seen.Revision == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	_, err = b.admin.UpdateUser(t.Context(), "bert", client.UserChange{Role: "viewer", Grants: new([]client.Grant{}), Revision: seen.Revision})
	if p := problemIn(t, err, http.StatusPreconditionFailed, client.CodeRevision); p.Hint == "" {
		t.Errorf("it does not say what to do: %+v", p)
	}
	now, err := b.admin.User(t.Context(), "bert")
	if err != nil || now.Role != "none" || len(now.Grants) != 1 || now.Revision != first.Revision {
		t.Errorf("the older write won: %+v, %v", now, err)
	}
	// What nobody says of them by hand moves nothing: a link, a password, a sign-in.
	linked, err := b.admin.MakePasswordLink(t.Context(), "bert")
	b.must(err)
	_, err = b.nobody.SpendPasswordLink(t.Context(), linked.LinkCode, longPassword)
	b.must(err)
	b.entered("bert", longPassword)
	if now, err = b.admin.UpdateUser(t.Context(), "bert", client.UserChange{Role: "viewer", Revision: first.Revision}); err != nil || now.Role != "viewer" || len(now.Grants) != 1 {
		t.Errorf("%+v, %v", now, err)
	}
	if now, err = b.admin.UpdateUser(t.Context(), "bert", client.UserChange{Role: "operator"}); err != nil || now.Role != "operator" {
		t.Errorf("without the header it is done as ever: %+v, %v", now, err)
	}
}

func TestBadUsers(t *testing.T) {
	b := newBed(t)
	b.person("anna", "admin")
	for _, tt := range []struct{ method, path, body, field string }{
		{post, "/api/users", `{"name":"","role":"viewer"}`, "body.name"},
		{post, "/api/users", `{"name":"an na","role":"viewer"}`, "body.name"},
		{post, "/api/users", `{"name":"bert","role":"root"}`, "body.role"},
		{post, "/api/users", `{"name":"bert","role":"viewer","password":"short"}`, "body.password"},
		{post, "/api/users", `{"name":"bert","role":"none","grants":[{"project_id":"nowhere","role":"viewer"}]}`, "body.grants[0].project_id"},
		{post, "/api/users", `{"name":"bert","role":"none","grants":[{"project_id":"","role":"viewer"}]}`, "body.grants[0].project_id"},
		{post, "/api/users", `{"name":"bert","role":"none","grants":[{"project_id":"x","role":"admin"}]}`, "body.grants[0].role"},
		{post, "/api/users", `{"name":"bert","role":"viewer","admin":true}`, "body.admin"},
		{patch, "/api/users/anna", `{}`, "body"},
		{patch, "/api/users/anna", `{"role":"root"}`, "body.role"},
		{post, "/api/password-link", `{"code":"x","password":""}`, "body.password"},
	} {
		status, _, text := b.raw(b.admin, tt.method, tt.path, tt.body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(text, `"`+tt.field+`"`) || strings.Contains(text, "short") {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, status, text)
		}
	}
	_, err := b.admin.CreateUser(t.Context(), client.NewUser{Name: "anna", Role: "viewer"})
	wantProblem(t, err, http.StatusConflict, client.CodeConflict)
	wantProblem(t, b.admin.DeleteUser(t.Context(), "anna"), http.StatusConflict, client.CodeLastAdmin)
	_, err = b.admin.DisableUser(t.Context(), "anna")
	wantProblem(t, err, http.StatusConflict, client.CodeLastAdmin)
	_, err = b.admin.UpdateUser(t.Context(), "anna", client.UserChange{Role: "operator"})
	wantProblem(t, err, http.StatusConflict, client.CodeLastAdmin)
}

func TestMyAccount(t *testing.T) {
	b := newBed(t)
	bert := b.person("bert", "viewer")
	other := b.entered("bert", longPassword)
	sessions, err := bert.MySessions(t.Context())
	if err != nil || len(sessions) != 2 || sessions[0].Addr != "203.0.113.7" || sessions[0].Current == sessions[1].Current {
		t.Fatalf("%+v, %v", sessions, err)
	}
	err = bert.ChangePassword(t.Context(), "not the password", longPassword+"!")
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.current_password" {
		t.Errorf("%+v", p)
	}
	err = bert.ChangePassword(t.Context(), longPassword, "short")
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.password" {
		t.Errorf("%+v", p)
	}
	b.must(bert.ChangePassword(t.Context(), longPassword, longPassword+"!"))
	_, err = other.Me(t.Context())
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
	third := b.entered("bert", longPassword+"!")
	if n, err := bert.EndMyOtherSessions(t.Context()); n != 1 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	_, err = third.Me(t.Context())
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)

	// Another's session is none of his, and an admin ends any.
	carla := b.person("carla", "viewer")
	hers, err := carla.MySessions(t.Context())
	b.must(err)
	wantProblem(t, bert.EndMySession(t.Context(), hers[0].ID), http.StatusNotFound, client.CodeNotFound)
	seen, err := b.admin.UserSessions(t.Context(), "carla")
	if err != nil || len(seen) != 1 || seen[0].Current {
		t.Errorf("%+v, %v", seen, err)
	}
	b.must(b.admin.EndUserSession(t.Context(), "carla", seen[0].ID))
	_, err = carla.Me(t.Context())
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)

	// A token has none of these, even his own.
	made, err := bert.CreateToken(t.Context(), client.NewToken{Name: "berts", Role: "viewer"})
	b.must(err)
	token := b.nobody.As(made.Secret)
	_, err = token.MySessions(t.Context())
	wantProblem(t, err, http.StatusConflict, client.CodeWrongState)
	wantProblem(t, token.ChangePassword(t.Context(), longPassword+"!", longPassword), http.StatusConflict, client.CodeWrongState)
	_, err = token.OfferSecondFactor(t.Context(), longPassword+"!")
	wantProblem(t, err, http.StatusConflict, client.CodeWrongState)
}

func TestTokensOfOnesOwn(t *testing.T) {
	b := newBed(t)
	bert, carla := b.person("bert", "operator"), b.person("carla", "viewer")
	_, err := bert.CreateToken(t.Context(), client.NewToken{Name: "up", Role: "admin"})
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.role" {
		t.Errorf("%+v", p)
	}
	made, err := bert.CreateToken(t.Context(), client.NewToken{Name: "berts", Role: "operator"})
	b.must(err)
	if list, err := carla.Tokens(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("carla sees %+v, %v", list, err)
	}
	if list, err := bert.Tokens(t.Context()); err != nil || len(list) != 1 || list[0].CreatedBy != "user:bert" {
		t.Errorf("bert sees %+v, %v", list, err)
	}
	if list, err := b.admin.Tokens(t.Context()); err != nil || len(list) != 4 {
		t.Errorf("an admin sees %+v, %v", list, err)
	}
	wantProblem(t, carla.RevokeToken(t.Context(), made.ID), http.StatusNotFound, client.CodeNotFound)
	wantProblem(t, b.viewer.RevokeToken(t.Context(), made.ID), http.StatusNotFound, client.CodeNotFound)
	b.must(bert.RevokeToken(t.Context(), made.ID))
	_, err = b.nobody.As(made.Secret).Me(t.Context())
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
}

func TestATakenNameIsSaidInWords(t *testing.T) {
	b := newBed(t)
	_, err := b.admin.CreateToken(t.Context(), client.NewToken{Name: "ci", Role: "viewer"})
	b.must(err)
	_, err = b.admin.CreateToken(t.Context(), client.NewToken{Name: "ci", Role: "viewer"})
	wantTaken(t, err, "there is a token ci already")
	b.person("bert", "viewer")
	_, err = b.admin.CreateUser(t.Context(), client.NewUser{Name: "bert", Role: "viewer"})
	wantTaken(t, err, "there is a user bert already")
}

func wantTaken(t *testing.T, err error, words string) {
	t.Helper()
	p := problemIn(t, err, http.StatusConflict, client.CodeConflict)
	if p.Detail != words || len(p.Errors) != 1 || p.Errors[0].Location != "body.name" {
		t.Errorf("%+v, want %q at its field", p, words)
	}
}

// TestATokenThatExpiredKeepsNoName: its secret is worth nothing, so its name is free again.
func TestATokenThatExpiredKeepsNoName(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		made, err := b.admin.CreateToken(t.Context(), client.NewToken{Name: "ci", Role: "viewer", ExpiresAt: time.Now().Add(time.Minute)})
		b.must(err)
		_, err = b.admin.CreateToken(t.Context(), client.NewToken{Name: "ci", Role: "viewer"})
		wantProblem(t, err, http.StatusConflict, client.CodeConflict)
		time.Sleep(time.Minute)
		again, err := b.admin.CreateToken(t.Context(), client.NewToken{Name: "ci", Role: "viewer"})
		b.must(err)
		if list, err := b.admin.Tokens(t.Context()); err != nil || !slices.ContainsFunc(list, func(tok client.Token) bool { return tok.ID == again.ID }) ||
			slices.ContainsFunc(list, func(tok client.Token) bool { return tok.ID == made.ID }) {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestSecondFactorOnTheWayIn(t *testing.T) {
	b := newBed(t)
	bert := b.person("bert", "viewer")
	offer, err := bert.OfferSecondFactor(t.Context(), longPassword)
	b.must(err)
	svg, ok := strings.CutPrefix(offer.Picture, "data:image/svg+xml;base64,")
	if text, err := base64.StdEncoding.DecodeString(svg); !ok || err != nil || !strings.HasPrefix(string(text), "<svg ") || strings.Contains(string(text), "<script") {
		t.Errorf("the picture: %.60s, %v", offer.Picture, err)
	}
	_, err = bert.ConfirmSecondFactor(t.Context(), "000000")
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.code" {
		t.Errorf("%+v", p)
	}
	codes, err := bert.ConfirmSecondFactor(t.Context(), codeNow(t, offer.Secret))
	if err != nil || len(codes) != 10 {
		t.Fatal(codes, err)
	}
	_, _, err = b.nobody.Login(t.Context(), "bert", longPassword)
	wantProblem(t, err, http.StatusUnauthorized, client.CodeSecondFactor)
	_, _, err = b.nobody.LoginWithCode(t.Context(), "bert", "wrong password", codes[0])
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
	_, _, err = b.nobody.LoginWithCode(t.Context(), "bert", longPassword, "000000")
	wantProblem(t, err, http.StatusUnauthorized, client.CodeSecondFactor)
	if credential, _, err := b.nobody.LoginWithCode(t.Context(), "bert", longPassword, codes[0]); err != nil || credential == "" {
		t.Error(err)
	}
	if me, err := bert.Me(t.Context()); err != nil || me.SecondFactor.Since.IsZero() || me.SecondFactor.CodesLeft != 9 {
		t.Errorf("%+v, %v", me, err)
	}
	b.must(b.admin.ResetSecondFactor(t.Context(), "bert"))
	if _, _, err := b.nobody.Login(t.Context(), "bert", longPassword); err != nil {
		t.Error(err)
	}
	wantProblem(t, b.admin.ResetSecondFactor(t.Context(), "bert"), http.StatusConflict, client.CodeWrongState)
	if e := b.event("user.second_factor_off"); e.Severity != "warn" {
		t.Errorf("%+v", e)
	}
}

// TestNothingIsOpenBeforeARequiredSecondFactor walks every route.
func TestNothingIsOpenBeforeARequiredSecondFactor(t *testing.T) {
	b := newBed(t)
	bert := b.person("bert", "admin")
	b.update(func(tx *store.Tx) error {
		s, err := tx.Settings(t.Context())
		if err != nil {
			return err
		}
		s.RequireFactor = true
		return tx.SaveSettings(t.Context(), s)
	})
	for _, r := range (&server{}).routes() {
		if r.need == anyone || scopeOf(r.id) == scopeEnrol {
			continue
		}
		body := ""
		if r.method == post || r.method == put || r.method == patch {
			body = `{"no_such_key":1}`
		}
		status, _, text := b.raw(bert, r.method, replaceID(r.path, "no-such-id"), body)
		if status != http.StatusForbidden || !strings.Contains(text, codeMustEnrol) {
			t.Errorf("%s %s: %d %s", r.method, r.path, status, text)
		}
	}
	if s, err := bert.Session(t.Context()); err != nil || !s.MustEnrol || s.Role != "none" {
		t.Errorf("%+v, %v", s, err)
	}
	offer, err := bert.OfferSecondFactor(t.Context(), longPassword)
	b.must(err)
	_, err = bert.ConfirmSecondFactor(t.Context(), codeNow(t, offer.Secret))
	b.must(err)
	if _, err := bert.Users(t.Context()); err != nil {
		t.Error(err)
	}
}
