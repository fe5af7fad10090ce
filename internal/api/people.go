package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// peopleRoutes are the routes about users and what each may do about themselves.
func (s *server) peopleRoutes() []route {
	return []route{
		{get, "/api/me", viewer, "get-me", "Who I am, what I may, and my second factor", to(s.getMe)},
		{put, "/api/me/password", viewer, "change-password", "Change my password; my other sessions end", to(s.changePassword)},
		{get, "/api/me/sessions", viewer, "list-my-sessions", "Where I am signed in", to(s.listMySessions)},
		{remove, "/api/me/sessions", viewer, "end-my-other-sessions", "Sign out everywhere else", to(s.endMyOtherSessions)},
		{remove, "/api/me/sessions/{id}", viewer, "end-my-session", "End one of my sessions", to(s.endMySession)},
		{post, "/api/me/second-factor", viewer, "offer-second-factor", "Begin to set up my second factor", to(s.offerFactor)},
		{post, "/api/me/second-factor/confirm", viewer, "confirm-second-factor", "Set it up with a first code; tells the recovery codes, once", to(s.confirmFactor)},
		{post, "/api/me/second-factor/recovery-codes", viewer, "make-recovery-codes", "Replace my recovery codes", to(s.makeRecoveryCodes)},
		{post, "/api/me/second-factor/remove", viewer, "remove-second-factor", "Take my second factor away", to(s.removeFactor)},

		{post, "/api/password-link", anyone, "spend-password-link", "Set a password by a one-time link", to(s.spendLink)},

		{get, "/api/users", admin, "list-users", "List the users", to(s.listUsers)},
		{post, "/api/users", admin, "create-user", "Make a user, with a password or with a one-time link", created(s.createUser)},
		{get, "/api/users/{id}", admin, "get-user", "A user by id or name", to(s.getUser)},
		{patch, "/api/users/{id}", admin, "update-user", "Change what a user may", to(s.updateUser)},
		{remove, "/api/users/{id}", admin, "delete-user", "Remove a user with their sessions and tokens", to(s.deleteUser)},
		{post, "/api/users/{id}/disable", admin, "disable-user", "Keep a user out", to(s.disableUser)},
		{post, "/api/users/{id}/enable", admin, "enable-user", "Let a user in again", to(s.enableUser)},
		{post, "/api/users/{id}/link", admin, "make-password-link", "Give a user a one-time link to set a password with; it is told once", to(s.makeLink)},
		{remove, "/api/users/{id}/second-factor", admin, "reset-second-factor", "Take the second factor of a user away who has lost it", to(s.resetFactor)},
		{get, "/api/users/{id}/sessions", admin, "list-user-sessions", "Where a user is signed in", to(s.listUserSessions)},
		{remove, "/api/users/{id}/sessions", admin, "end-user-sessions", "Sign a user out everywhere", to(s.endUserSessions)},
		{remove, "/api/users/{id}/sessions/{session}", admin, "end-user-session", "End one session of a user", to(s.endUserSession)},
	}
}

type grantJSON struct {
	ProjectID string `json:"project_id" maxLength:"100" doc:"in a request its name will do"`
	Project   string `json:"project,omitempty" maxLength:"100" doc:"its name"`
	Role      string `json:"role" enum:"viewer,operator"`
}

type userJSON struct {
	ID           string      `json:"id"`
	Name         string      `json:"name"`
	Role         string      `json:"role" enum:"none,viewer,operator,admin" doc:"in all projects; none: only what grants say"`
	Grants       []grantJSON `json:"grants" nullable:"false" doc:"what they may in single projects beyond that"`
	CreatedAt    stamp       `json:"created_at"`
	DisabledAt   moment      `json:"disabled_at" doc:"null: may sign in"`
	SignedInAt   moment      `json:"signed_in_at" doc:"last"`
	HasPassword  bool        `json:"has_password"`
	LinkUntil    moment      `json:"link_until" doc:"the one-time link that was given out is good until; null: there is none"`
	SecondFactor bool        `json:"second_factor"`
	Provider     string      `json:"provider,omitempty" doc:"the identity provider that they come in by"`
	Revision     string      `json:"revision" doc:"of name, role, grants and whether they may sign in"`
	LinkCode     string      `json:"link_code,omitempty" doc:"told once, by the answer that made it: the page /password#code=... takes it"`
}

func (s *server) userOf(ctx context.Context, u store.User) (userJSON, error) {
	grants, err := s.d.DB.Grants(ctx, u.ID)
	if err != nil {
		return userJSON{}, err
	}
	names, err := s.projectNames(ctx, grants)
	if err != nil {
		return userJSON{}, err
	}
	return showUser(u, grants, names), nil
}

func showUser(u store.User, grants []store.Grant, names map[string]string) userJSON {
	j := userJSON{
		ID: u.ID, Name: u.Name, Role: roleText(u.Role), Grants: make([]grantJSON, 0, len(grants)), CreatedAt: stamp(u.CreatedAt),
		DisabledAt: moment(u.DisabledAt), SignedInAt: moment(u.SignedInAt), HasPassword: u.PasswordHash != "", LinkUntil: moment(u.LinkUntil),
		SecondFactor: !u.FactorSince.IsZero(), Provider: u.Provider, Revision: auth.Revision(u, grants),
	}
	for _, g := range grants {
		if g.UserID == u.ID {
			j.Grants = append(j.Grants, grantJSON{ProjectID: g.ProjectID, Project: names[g.ProjectID], Role: string(g.Role)})
		}
	}
	return j
}

// projectNames are the names of the projects of grants, by their ids.
func (s *server) projectNames(ctx context.Context, grants []store.Grant) (map[string]string, error) {
	names := map[string]string{}
	for _, g := range grants {
		if names[g.ProjectID] != "" {
			continue
		}
		p, err := s.d.DB.Project(ctx, g.ProjectID)
		if err != nil {
			return nil, err
		}
		names[g.ProjectID] = p.Name
	}
	return names, nil
}

func roleText(r store.Role) string {
	if r == "" {
		return "none"
	}
	return string(r)
}

func roleFrom(text string) store.Role {
	if text == "none" {
		return ""
	}
	return store.Role(text)
}

// byVisit is who asks, and from where.
func byVisit(ctx context.Context) auth.By {
	v := visitOf(ctx)
	return auth.By{Caller: v.caller, Addr: v.addr}
}

// byWhatWasSeen is the same, of whoever changes only the revision of a user that they saw.
func byWhatWasSeen(ctx context.Context, m Match) auth.By {
	by := byVisit(ctx)
	by.Seen = m.seen()
	return by
}

func (s *server) listUsers(ctx context.Context, _ *none) (*out[list[userJSON]], error) {
	users, err := s.d.DB.Users(ctx)
	if err != nil {
		return nil, err
	}
	grants, err := s.d.DB.Grants(ctx, "")
	if err != nil {
		return nil, err
	}
	names, err := s.projectNames(ctx, grants)
	if err != nil {
		return nil, err
	}
	return answer(listOf(users, "", func(u store.User) userJSON { return showUser(u, grants, names) })), nil
}

func (s *server) findUser(ctx context.Context, idOrName string) (store.User, error) {
	return byIDOrName(ctx, idOrName, s.d.DB.User, s.d.DB.UserByName)
}

func (s *server) getUser(ctx context.Context, in *ByID) (*versioned[userJSON], error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.answerUser(ctx, u, "")
}

func (s *server) answerUser(ctx context.Context, u store.User, code string) (*versioned[userJSON], error) {
	shown, err := s.userOf(ctx, u)
	if err != nil {
		return nil, err
	}
	shown.LinkCode = code
	return tagged(shown, shown.Revision), nil
}

type createUserIn struct {
	Body struct {
		Name     string      `json:"name" minLength:"1" maxLength:"63"`
		Role     string      `json:"role" enum:"none,viewer,operator,admin"`
		Grants   []grantJSON `json:"grants,omitempty" maxItems:"1000" doc:"what they may in single projects beyond that"`
		Password string      `json:"password,omitempty" maxLength:"1000" writeOnly:"true" doc:"at least 12 characters; absent: they set one by a one-time link, whose code the answer tells"`
		Provided bool        `json:"by_provider,omitempty" doc:"they come in by the identity provider, under this name: no password, no link"`
	}
}

func (s *server) createUser(ctx context.Context, in *createUserIn) (*versioned[userJSON], error) {
	grants, err := s.readGrants(ctx, in.Body.Grants)
	if err != nil {
		return nil, err
	}
	n := auth.NewUser{Name: in.Body.Name, Role: roleFrom(in.Body.Role), Grants: grants, Password: in.Body.Password}
	if in.Body.Provided {
		if n.Provider, err = s.issuer(ctx, in.Body.Password); err != nil {
			return nil, err
		}
	}
	u, code, err := s.d.Auth.CreateUser(ctx, n, byVisit(ctx))
	if err != nil {
		return nil, nameTaken(wrongFields("body", err), "user", in.Body.Name)
	}
	return s.answerUser(ctx, u, code)
}

// readGrants finds the projects of grants, by id or name.
func (s *server) readGrants(ctx context.Context, asked []grantJSON) (map[string]store.Role, error) {
	grants := make(map[string]store.Role, len(asked))
	for i, g := range asked {
		where := "body.grants[" + itoa(i) + "].project_id"
		id, err := s.projectFilter(ctx, where, g.ProjectID)
		if err != nil {
			return nil, err
		}
		if id == "" {
			return nil, invalid(where, "a project is expected")
		}
		if grants[id] != "" {
			return nil, invalid(where, "this project is there twice")
		}
		grants[id] = store.Role(g.Role)
	}
	return grants, nil
}

type updateUserIn struct {
	ByID
	Match
	Body struct {
		Role   string       `json:"role,omitempty" enum:"none,viewer,operator,admin"`
		Grants *[]grantJSON `json:"grants,omitempty" maxItems:"1000" doc:"in place of all that are there"`
	}
}

func (s *server) updateUser(ctx context.Context, in *updateUserIn) (*versioned[userJSON], error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Body.Role == "" && in.Body.Grants == nil {
		return nil, invalid("body", "a role or grants are expected")
	}
	change := auth.Change{}
	if in.Body.Role != "" {
		role := roleFrom(in.Body.Role)
		change.Role = &role
	}
	if in.Body.Grants != nil {
		if change.Grants, err = s.readGrants(ctx, *in.Body.Grants); err != nil {
			return nil, err
		}
	}
	if u, err = s.d.Auth.ChangePowers(ctx, u.ID, change, byWhatWasSeen(ctx, in.Match)); err != nil {
		return nil, wrongFields("body", err)
	}
	return s.answerUser(ctx, u, "")
}

func (s *server) deleteUser(ctx context.Context, in *Seen) (*none, error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.d.Auth.DeleteUser(ctx, u.ID, byWhatWasSeen(ctx, in.Match))
}

func (s *server) disableUser(ctx context.Context, in *Seen) (*versioned[userJSON], error) {
	return s.onUser(ctx, in, s.d.Auth.Disable)
}

func (s *server) enableUser(ctx context.Context, in *Seen) (*versioned[userJSON], error) {
	return s.onUser(ctx, in, s.d.Auth.Enable)
}

func (s *server) onUser(ctx context.Context, in *Seen, do func(context.Context, string, auth.By) (store.User, error)) (*versioned[userJSON], error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if u, err = do(ctx, u.ID, byWhatWasSeen(ctx, in.Match)); err != nil {
		return nil, err
	}
	return s.answerUser(ctx, u, "")
}

func (s *server) makeLink(ctx context.Context, in *Seen) (*versioned[userJSON], error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	u, code, err := s.d.Auth.GiveLink(ctx, u.ID, byWhatWasSeen(ctx, in.Match))
	if err != nil {
		return nil, err
	}
	return s.answerUser(ctx, u, code)
}

func (s *server) resetFactor(ctx context.Context, in *ByID) (*none, error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.d.Auth.ResetFactor(ctx, u.ID, byVisit(ctx))
}

type spendLinkIn struct {
	Body struct {
		Code     string `json:"code" minLength:"1" maxLength:"200" writeOnly:"true" doc:"from the link"`
		Password string `json:"password" minLength:"1" maxLength:"1000" writeOnly:"true" doc:"at least 12 characters"`
	}
}

type spentJSON struct {
	Name string `json:"name" doc:"whose password it is: sign in with it"`
}

func (s *server) spendLink(ctx context.Context, in *spendLinkIn) (*out[spentJSON], error) {
	u, err := s.d.Auth.SpendLink(ctx, in.Body.Code, in.Body.Password, visitOf(ctx).addr)
	if err != nil {
		return nil, err
	}
	return answer(spentJSON{Name: u.Name}), nil
}

type sessionItemJSON struct {
	ID        string `json:"id"`
	Current   bool   `json:"current" doc:"the one that asks"`
	Device    string `json:"device" doc:"what the browser or the command line says of itself"`
	Addr      string `json:"addr"`
	CreatedAt stamp  `json:"created_at"`
	SeenAt    moment `json:"seen_at" doc:"last, to the minute"`
	ExpiresAt stamp  `json:"expires_at"`
}

func (s *server) sessionsOf(ctx context.Context, userID string) (*out[list[sessionItemJSON]], error) {
	sessions, err := s.d.Auth.Sessions(ctx, userID)
	if err != nil {
		return nil, err
	}
	mine := visitOf(ctx).caller.SessionID
	return answer(listOf(sessions, "", func(x store.Session) sessionItemJSON {
		return sessionItemJSON{
			ID: x.ID, Current: x.ID == mine, Device: x.UserAgent, Addr: x.Addr, CreatedAt: stamp(x.CreatedAt), SeenAt: moment(x.SeenAt), ExpiresAt: stamp(x.ExpiresAt),
		}
	})), nil
}

func (s *server) listUserSessions(ctx context.Context, in *ByID) (*out[list[sessionItemJSON]], error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.sessionsOf(ctx, u.ID)
}

type endedJSON struct {
	Ended int `json:"ended" doc:"how many"`
}

func (s *server) endUserSessions(ctx context.Context, in *ByID) (*out[endedJSON], error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	n, err := s.d.Auth.EndSessions(ctx, u.ID, byVisit(ctx))
	return answer(endedJSON{Ended: n}), err
}

type userSessionIn struct {
	ByID
	Session string `path:"session" maxLength:"100" doc:"its id"`
}

func (s *server) endUserSession(ctx context.Context, in *userSessionIn) (*none, error) {
	u, err := s.findUser(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.d.Auth.EndSession(ctx, u.ID, in.Session, byVisit(ctx))
}

// tokensShown are the tokens that a caller may see: an admin all, anybody else their own.
func (s *server) tokensShown(ctx context.Context) ([]store.Token, error) {
	tokens, err := s.d.DB.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	c := visitOf(ctx).caller
	if c.Role.Covers(admin) {
		return tokens, nil
	}
	return slices.DeleteFunc(tokens, func(t store.Token) bool { return c.UserID == "" || t.UserID != c.UserID }), nil
}

// own is the caller as a person who is signed in: a token is nobody who has a password or sessions.
func own(ctx context.Context) (auth.By, error) {
	by := byVisit(ctx)
	if by.SessionID == "" {
		return by, newProblem(http.StatusConflict, codeWrongState, "an API token has no password, sessions or second factor").hint("sign in with a name and a password")
	}
	return by, nil
}
