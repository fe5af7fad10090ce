package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/hook"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const hookBase = "/api/hooks/"

// isHook tells the addresses that machines of others send to: no cookie and no role counts there, only a secret of its own.
func isHook(path string) bool { return strings.HasPrefix(path, hookBase) || path == TraefikPath }

// tellable is a path as it may be told to a log: the address of a webhook may end with its secret.
func tellable(path string) string {
	if strings.HasPrefix(path, hookBase) {
		return hookBase + "..."
	}
	return path
}

// Webhook is where a registry may say that something was pushed.
type Webhook struct {
	Path    string `json:"path" doc:"where the registry sends to, behind the address of this daemon"`
	MadeAt  stamp  `json:"made_at" doc:"when its secret was made"`
	HeardAt moment `json:"heard_at" doc:"when somebody last brought the secret; null: never"`
}

type madeHookJSON struct {
	Webhook
	Secret string `json:"secret" doc:"told once, by the answer that made it"`
}

func hookOf(r store.Registry) *Webhook {
	if r.Hook.MadeAt.IsZero() {
		return nil
	}
	return &Webhook{Path: hookBase + r.ID, MadeAt: stamp(r.Hook.MadeAt), HeardAt: moment(r.Hook.HeardAt)}
}

// makeHook gives a registry a webhook, or the one that it has another secret.
func (s *server) makeHook(ctx context.Context, in *Seen) (*out[madeHookJSON], error) {
	r, err := s.findRegistry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	secret := hook.NewSecret()
	kind, message := "registry.hook_made", "registry "+r.Name+" got a webhook"
	if !r.Hook.MadeAt.IsZero() {
		kind, message = "registry.hook_rotated", "the webhook of registry "+r.Name+" got another secret: the former one counts no more"
	}
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if r, err = tx.Registry(ctx, r.ID); err != nil {
			return err
		}
		if err := in.check(r.Revision); err != nil {
			return err
		}
		if err := tx.SetHook(ctx, r.ID, secret); err != nil {
			return err
		}
		if r, err = tx.Registry(ctx, r.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, hookEvent(ctx, r, kind, message))
	})
	if err != nil {
		return nil, err
	}
	return answer(madeHookJSON{Webhook: *hookOf(r), Secret: secret}), nil
}

func (s *server) deleteHook(ctx context.Context, in *Seen) (*none, error) {
	r, err := s.findRegistry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if r, err = tx.Registry(ctx, r.ID); err != nil {
			return err
		}
		if err := in.check(r.Revision); err != nil {
			return err
		}
		if err := tx.DeleteHook(ctx, r.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, hookEvent(ctx, r, "registry.hook_removed", "the webhook of registry "+r.Name+" was removed: nothing that is sent to it counts"))
	})
}

// hookEvent is an event of a webhook; of its registry no more is told than its name.
func hookEvent(ctx context.Context, r store.Registry, kind, message string) store.Event {
	e := apiEvent(ctx, kind, message)
	e.Data["registry_id"], e.Data["registry"] = r.ID, r.Name
	return e
}

// HookProof are the places in which senders put the secret, or a signature made with it.
type HookProof struct {
	Authorization string `header:"Authorization" maxLength:"1000" doc:"the secret, bare, as Bearer, or as the password of Basic"`
	GitLab        string `header:"X-Gitlab-Token" maxLength:"1000" doc:"the secret"`
	GitHub        string `header:"X-Hub-Signature-256" maxLength:"1000" doc:"sha256=HEX: HMAC-SHA256 of the body under the secret"`
	Gitea         string `header:"X-Gitea-Signature" maxLength:"1000" doc:"the same without sha256="`
	Forgejo       string `header:"X-Forgejo-Signature" maxLength:"1000" doc:"the same"`
}

// Message is what somebody sends to a webhook.
type Message struct {
	ByID
	HookProof
	RawBody []byte
}

type hearAtIn struct {
	Message
	Secret string `path:"secret" maxLength:"200" doc:"for senders that can neither sign nor send a header"`
}

// hookRequest describes what is understood of a body, to the OpenAPI document; docs/registries.md says it whole.
type hookRequest struct {
	Repository string `json:"repository,omitempty" doc:"the repository that something was pushed to, such as acme/shop; the messages of distribution, GitHub, Gitea, Forgejo, GitLab, Harbor, Docker Hub, Quay and Azure are understood, too"`
}

type heardJSON struct {
	Asked []string `json:"asked" nullable:"false" doc:"the repositories that will be polled at once: those that were named and that a stage follows"`
}

func hookBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return withStatus(http.StatusAccepted, rawBody[hookRequest](fn, false))
}

func (s *server) hear(ctx context.Context, in *Message) (*out[heardJSON], error) {
	return s.heard(ctx, in, "")
}

func (s *server) hearAt(ctx context.Context, in *hearAtIn) (*out[heardJSON], error) {
	return s.heard(ctx, &in.Message, in.Secret)
}

// noHook is the one answer to whoever does not show that they know the secret of a webhook that there is.
func noHook() error {
	return newProblem(http.StatusNotFound, codeNotFound, "there is no such webhook, or it has another secret").
		hint("somebody who may see the event log of docker-watcher finds more there")
}

// heard takes a message: it has the repositories polled that it names and that stages follow, and believes nothing else of it.
func (s *server) heard(ctx context.Context, in *Message, secret string) (*out[heardJSON], error) {
	now, addr := time.Now(), visitOf(ctx).addr
	r, err := s.provenHook(ctx, in, secret)
	if errors.Is(err, store.ErrNotFound) {
		if r.ID != "" && s.hooks.Tell(r.ID, now) {
			s.tellRefusedHook(r, in.proof(secret).Given(), addr)
		}
		if !s.hooks.Refused(addr, now) {
			return nil, tooMany()
		}
		return nil, noHook()
	}
	if err != nil {
		return nil, err
	}
	if !s.hooks.Heard(r.ID, now) {
		return nil, tooMany()
	}
	named, err := hook.Read(in.RawBody)
	if err != nil {
		return nil, invalid("body", err.Error())
	}
	return s.pollNamed(ctx, r, named)
}

func tooMany() error {
	return newProblem(http.StatusTooManyRequests, codeTooMany, "too many messages").hint(hintThrottle).with("Retry-After", "60")
}

// provenHook finds the registry whose webhook is meant; store.ErrNotFound when there is none, or when its secret was not
// shown, of which the registry is told beside.
func (s *server) provenHook(ctx context.Context, in *Message, secret string) (store.Registry, error) {
	r, want, err := s.d.DB.HookSecret(ctx, in.ID)
	if errors.Is(err, store.ErrNotFound) {
		want = hook.NewSecret() // what does not exist takes as long
	} else if err != nil {
		return r, err
	}
	if !in.proof(secret).Holds(want, in.RawBody) || err != nil {
		return r, store.ErrNotFound
	}
	return r, nil
}

func (h HookProof) proof(secret string) hook.Proof {
	var p hook.Proof
	for _, s := range []string{secret, bare(h.Authorization), h.GitLab} {
		if s != "" {
			p.Secrets = append(p.Secrets, s)
		}
	}
	for _, s := range []string{h.GitHub, h.Gitea, h.Forgejo} {
		if s != "" {
			p.Signatures = append(p.Signatures, s)
		}
	}
	return p
}

// bare is the secret in an Authorization header.
func bare(header string) string {
	scheme, rest, found := strings.Cut(header, " ")
	switch {
	case !found:
		return header
	case strings.EqualFold(scheme, "Basic"):
		pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
		if err != nil {
			return ""
		}
		_, password, _ := strings.Cut(string(pair), ":")
		return password
	}
	return strings.TrimSpace(rest)
}

// tellRefusedHook makes the event of a message that was not taken.
func (s *server) tellRefusedHook(r store.Registry, given bool, addr string) {
	why := "it brought no secret and no signature"
	if given {
		why = "its secret or signature is wrong: give the sender the one that was shown when the webhook was made, or make another"
	}
	s.d.Bus.Publish(store.Event{
		Time: time.Now(), Severity: store.SeverityWarn, Source: store.SourceAPI, Kind: "registry.hook_refused", Actor: "anyone",
		Message: "a message to the webhook of registry " + r.Name + " was refused: " + why + ". For an hour no other is told",
		Data:    map[string]any{"registry_id": r.ID, "registry": r.Name, "addr": addr},
	})
}

// pollNamed has those repositories of a registry polled now that a message names.
func (s *server) pollNamed(ctx context.Context, r store.Registry, named []hook.Named) (*out[heardJSON], error) {
	followed, err := s.d.DB.FollowedImages(ctx)
	if err != nil {
		return nil, err
	}
	images := slices.DeleteFunc(followed, func(image string) bool { return registry.HostOf(image) != r.Host || !isNamed(image, r.Host, named) })
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		now := time.Now()
		moved, err := tx.PollImagesAtOnce(ctx, images, now)
		if err != nil {
			return err
		}
		if err := tx.NoteHookHeard(ctx, r.ID, now); err != nil || moved == 0 {
			return err // what is due anyway is no news
		}
		e := hookEvent(ctx, r, "registry.hook_heard", fmt.Sprintf("registry %s says that something was pushed to %s: it is asked now", r.Name, strings.Join(images, ", ")))
		e.Actor = "webhook:" + r.Name
		e.Data["images"] = images
		return tx.Emit(ctx, e)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, noHook() // it was removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	if len(images) > 0 {
		s.d.Scheduler.Trigger(PollJob)
	}
	return answer(heardJSON{Asked: append([]string{}, images...)}), nil
}

// isNamed reports whether a message of a registry is about an image.
func isNamed(image, host string, named []hook.Named) bool {
	path := registry.PathOf(image)
	return slices.ContainsFunc(named, func(n hook.Named) bool {
		if !registry.Named(n.Path) {
			n.Path = host + "/" + n.Path
		}
		if registry.HostOf(n.Path) != host {
			return false // of another registry
		}
		want := registry.PathOf(n.Path)
		return path == want || n.Under && strings.HasPrefix(path, want+"/")
	})
}
