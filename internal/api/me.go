package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"rsc.io/qr"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func itoa(n int) string { return strconv.Itoa(n) }

type factorStateJSON struct {
	Since     moment `json:"since" doc:"null: it is not set up"`
	CodesLeft int    `json:"codes_left" doc:"recovery codes that were not used"`
	Required  bool   `json:"required" doc:"an admin asks it of everybody who has a password"`
}

type meJSON struct {
	Name         string          `json:"name"`
	Actor        string          `json:"actor" doc:"as it stands in events"`
	Role         string          `json:"role" enum:"none,viewer,operator,admin" doc:"in all projects"`
	Grants       []grantJSON     `json:"grants" nullable:"false" doc:"what I may in single projects beyond that"`
	HasPassword  bool            `json:"has_password"`
	Provider     string          `json:"provider,omitempty" doc:"the identity provider that I come in by"`
	SecondFactor factorStateJSON `json:"second_factor"`
	MustEnrol    bool            `json:"must_enrol" doc:"I may do nothing before I set up a second factor"`
}

func (s *server) getMe(ctx context.Context, _ *none) (*out[meJSON], error) {
	c := visitOf(ctx).caller
	me := meJSON{Name: c.Name, Actor: c.Actor, Role: roleText(c.Role), Grants: []grantJSON{}, MustEnrol: c.MustEnrol}
	if c.UserID == "" {
		return answer(me), nil
	}
	u, left, err := s.d.Auth.FactorState(ctx, c.UserID)
	if err != nil {
		return nil, err
	}
	settings, err := s.d.DB.Settings(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := s.userOf(ctx, u)
	if err != nil {
		return nil, err
	}
	me.HasPassword, me.Provider = shown.HasPassword, shown.Provider
	me.SecondFactor = factorStateJSON{Since: moment(u.FactorSince), CodesLeft: left, Required: settings.RequireFactor}
	for _, g := range shown.Grants {
		if c.Most != "" {
			g.Role = string(store.Role(g.Role).Least(c.Most))
		}
		me.Grants = append(me.Grants, g)
	}
	return answer(me), nil
}

type changePasswordIn struct {
	Body struct {
		Current  string `json:"current_password" minLength:"1" maxLength:"1000" writeOnly:"true"`
		Password string `json:"password" minLength:"1" maxLength:"1000" writeOnly:"true" doc:"the new one: at least 12 characters"`
	}
}

func (s *server) changePassword(ctx context.Context, in *changePasswordIn) (*none, error) {
	by, err := own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.d.Auth.ChangePassword(ctx, by, in.Body.Current, in.Body.Password)
}

func (s *server) listMySessions(ctx context.Context, _ *none) (*out[list[sessionItemJSON]], error) {
	by, err := own(ctx)
	if err != nil {
		return nil, err
	}
	return s.sessionsOf(ctx, by.UserID)
}

func (s *server) endMyOtherSessions(ctx context.Context, _ *none) (*out[endedJSON], error) {
	by, err := own(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.d.Auth.EndSessions(ctx, by.UserID, by)
	return answer(endedJSON{Ended: n}), err
}

func (s *server) endMySession(ctx context.Context, in *ByID) (*none, error) {
	by, err := own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.d.Auth.EndSession(ctx, by.UserID, in.ID, by)
}

type offerFactorIn struct {
	Body struct {
		Current string `json:"current_password" minLength:"1" maxLength:"1000" writeOnly:"true"`
	}
}

type factorOfferJSON struct {
	Secret  string `json:"secret" doc:"to be typed into an authenticator"`
	URI     string `json:"uri" doc:"otpauth://..."`
	Picture string `json:"picture" doc:"the same as a QR code: an SVG as a data: URL"`
}

func (s *server) offerFactor(ctx context.Context, in *offerFactorIn) (*out[factorOfferJSON], error) {
	by, err := own(ctx)
	if err != nil {
		return nil, err
	}
	offer, err := s.d.Auth.OfferFactor(ctx, by, in.Body.Current)
	if err != nil {
		return nil, err
	}
	picture, err := drawCode(offer.URI)
	if err != nil {
		return nil, err
	}
	return answer(factorOfferJSON{Secret: offer.Secret, URI: offer.URI, Picture: picture}), nil
}

// drawCode draws a QR code, dark on white with its quiet zone, whatever the theme: cameras want it so.
func drawCode(text string) (dataURL string, err error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw a QR code: %w", err)
	}
	const quiet = 4
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	side := code.Size + 2*quiet
	svg := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>`,
		side, side, side, side, path.String())
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(svg)), nil
}

type factorCodeIn struct {
	Body struct {
		Code string `json:"code" minLength:"1" maxLength:"40" writeOnly:"true" doc:"of the authenticator, or a recovery code"`
	}
}

type recoveryJSON struct {
	Codes []string `json:"codes" nullable:"false" doc:"each is good once; told this once"`
}

func (s *server) confirmFactor(ctx context.Context, in *factorCodeIn) (*out[recoveryJSON], error) {
	by, err := own(ctx)
	if err != nil {
		return nil, err
	}
	codes, err := s.d.Auth.ConfirmFactor(ctx, by, in.Body.Code)
	if err != nil {
		return nil, wrongCode(err)
	}
	return answer(recoveryJSON{Codes: codes}), nil
}

func (s *server) makeRecoveryCodes(ctx context.Context, in *factorCodeIn) (*out[recoveryJSON], error) {
	by, err := own(ctx)
	if err != nil {
		return nil, err
	}
	codes, err := s.d.Auth.NewRecoveryCodes(ctx, by, in.Body.Code)
	if err != nil {
		return nil, wrongCode(err)
	}
	return answer(recoveryJSON{Codes: codes}), nil
}

func (s *server) removeFactor(ctx context.Context, in *factorCodeIn) (*none, error) {
	by, err := own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, wrongCode(s.d.Auth.DropOwnFactor(ctx, by, in.Body.Code))
}

// wrongCode: for who is signed in, a wrong code is a wrong field.
func wrongCode(err error) error {
	if errors.Is(err, auth.ErrFactorWrong) {
		p := invalid("body.code", auth.ErrFactorWrong.Error())
		p.guess = true
		return p
	}
	return err
}

// mustEnrol is the refusal of all else before a required second factor is set up.
func mustEnrol() *Problem {
	return newProblem(http.StatusForbidden, codeMustEnrol, "an admin requires a second factor: set yours up first").
		hint("open the page, or use 'docker-watcher account second-factor on'")
}
