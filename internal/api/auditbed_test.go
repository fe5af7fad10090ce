package api

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// asked is a call that is to succeed.
type asked struct {
	who  *client.Client // nil: an admin's token
	at   []string       // what stands in the holes of the path, in their order
	body string
}

// audited says how an operation is called with success, and what that leaves in the event log.
type audited struct {
	ask   func(*auditBed) asked
	kind  string   // of the one event of it
	actor string   // whose it is; empty: that of whoever asked
	diff  []string // fields of its data.difference
	none  string   // why there is no event: instead of kind
}

// auditBed has what the calls need, with a name for each.
type auditBed struct {
	*frontBed
	n     int
	inbox *inbox

	somebody store.User
	calls    map[string]audited
	last     int64 // the newest event before a call
}

func (a *auditBed) name() string {
	a.n++
	return fmt.Sprintf("thing-%d", a.n)
}

// stage is a new one, of a project of its own.
func (a *auditBed) stage() store.Stage { return a.shop(a.name(), "preview") }

// made asks for something, as an admin, and returns a field of the answer.
func (a *auditBed) made(method, path, body, field string) string {
	a.t.Helper()
	status, _, text := a.raw(a.admin, method, path, body)
	var answer map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status >= 300 {
		a.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	value, _ := answer[field].(string)
	return value
}

func (a *auditBed) project() string {
	return a.made(post, "/api/projects", `{"name":"`+a.name()+`","image":"shop"}`, "id")
}

func (a *auditBed) proxy() string {
	return a.made(post, "/api/proxies", `{"domains":["`+a.name()+`.example"],"targets":["http://10.0.0.7:80"]}`, "id")
}

func (a *auditBed) route() string {
	inst := a.instance(store.StatusRunning)
	return a.made(post, "/api/routes", `{"stage_id":"`+inst.StageID+`","instance_id":"`+inst.ID+`","port":80,"domains":["`+a.name()+`.example"]}`, "id")
}

func (a *auditBed) depot() string {
	name := a.name()
	return a.made(post, "/api/registries", `{"name":"`+name+`","host":"`+name+`.example","password":"`+canary+`","username":"anna"}`, "id")
}

func (a *auditBed) channel() string {
	return a.made(post, "/api/notifications/channels", `{"name":"`+a.name()+`","url":"`+a.inbox.URL+`/`+tokenInURL+`"}`, "id")
}

func (a *auditBed) rule() string {
	return a.made(post, "/api/notifications/rules", `{"name":"`+a.name()+`","channels":[],"kinds":["test.*"]}`, "id")
}

func (a *auditBed) user() string {
	return a.made(post, "/api/users", `{"name":"`+a.name()+`","role":"viewer"}`, "id")
}

// someone is a user who is signed in, with the password of root: to hash one for each would take most of the test's time.
func (a *auditBed) someone() *client.Client {
	a.t.Helper()
	root, err := a.db.UserByName(a.t.Context(), "root")
	a.must(err)
	u := store.User{ID: store.NewID(), Name: a.name(), Role: viewer, PasswordHash: root.PasswordHash, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	a.update(func(tx *store.Tx) error { return tx.InsertUser(a.t.Context(), u) })
	a.somebody = u
	return a.signedIn()
}

// signedIn is another session of whom someone made last.
func (a *auditBed) signedIn() *client.Client {
	a.t.Helper()
	credential := "session-" + store.NewID()
	hash := sha256.Sum256([]byte(credential))
	a.update(func(tx *store.Tx) error {
		return tx.InsertSession(a.t.Context(), store.Session{
			ID: store.NewID(), UserID: a.somebody.ID, TokenHash: hex.EncodeToString(hash[:]), Addr: "203.0.113.7",
			CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour), SeenAt: time.Now(),
		})
	})
	return a.nobody.As(credential)
}

// offered is a user who began to set up a second factor of this secret.
func (a *auditBed) offered() (who *client.Client, secret string) {
	a.t.Helper()
	who = a.someone()
	key := []byte("a key of 20 letters.")
	a.update(func(tx *store.Tx) error { return tx.OfferFactor(a.t.Context(), a.somebody.ID, key) })
	return who, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(key)
}

const recoveryCode = "aaaabbbbccccdddd"

// enrolled is a user with a second factor and one recovery code.
func (a *auditBed) enrolled() *client.Client {
	a.t.Helper()
	who, _ := a.offered()
	hash := sha256.Sum256([]byte(recoveryCode))
	a.update(func(tx *store.Tx) error {
		if err := tx.ConfirmFactor(a.t.Context(), a.somebody.ID, 1, time.Now()); err != nil {
			return err
		}
		return tx.SetRecoveryCodes(a.t.Context(), a.somebody.ID, []string{hex.EncodeToString(hash[:])})
	})
	return who
}

// instance is one with its container.
func (a *auditBed) instance(status store.Status) store.Instance {
	a.t.Helper()
	inst, _ := a.plant(a.stage(), a.name(), 1, func(i *store.Instance, tpl *dockertest.Template) {
		i.Status = status
		if status == store.StatusRunning {
			i.Intended, tpl.State, tpl.Finished = store.IntendedRunning, dockertest.Running, time.Time{}
		}
	})
	return inst
}

// stale is one that may be cleaned up, with an anonymous volume.
func (a *auditBed) stale() store.Instance {
	a.t.Helper()
	inst, _ := a.plant(a.stage(), a.name(), 20, func(_ *store.Instance, tpl *dockertest.Template) { tpl.Volumes = []string{"/cache"} })
	a.scan()
	return inst
}

// cleaned is what was just removed.
func (a *auditBed) removed() client.PlanItem {
	a.t.Helper()
	inst := a.stale()
	p, err := a.admin.PlanOne(a.t.Context(), inst.ID)
	a.must(err)
	p, err = a.admin.ApplyOne(a.t.Context(), inst.ID, p.ID)
	a.must(err)
	if p.Items[0].ArchiveID == "" {
		a.t.Fatalf("it was not removed: %+v", p.Items[0])
	}
	return p.Items[0]
}

// plan is one of a cleanup, not applied.
func (a *auditBed) plan() string {
	a.t.Helper()
	p, err := a.admin.PlanOne(a.t.Context(), a.stale().ID)
	a.must(err)
	return p.ID
}

// message is one of the outbox.
func (a *auditBed) message() string {
	a.t.Helper()
	m := store.Message{ID: store.NewID(), ChannelID: a.channel(), RuleID: "r", Severity: store.SeverityWarn, FirstEvent: 1, DueAt: time.Now().Add(time.Hour), CreatedAt: time.Now()}
	a.update(func(tx *store.Tx) error {
		if err := tx.InsertMessage(a.t.Context(), m); err != nil {
			return err
		}
		_, err := tx.AddToMessage(a.t.Context(), m, m.Severity, []int64{1})
		return err
	})
	return m.ID
}

// hostOf is another host, on a pretend engine of its own.
func (a *auditBed) another() string {
	a.t.Helper()
	engine := dockertest.Serve(a.t, dockertest.Options{EngineID: a.name()})
	id := a.made(post, "/api/hosts", `{"name":"`+a.name()+`","endpoint":"`+engine.Endpoint()+`"}`, "id")
	a.t.Cleanup(func() {
		if e := a.deps.Fleet.Remove(id); e != nil {
			a.must(e.Close())
		}
	})
	return id
}

// former is a stage that served another instance before.
func (a *auditBed) former() store.Stage {
	a.t.Helper()
	st := a.stage()
	a.made(patch, "/api/stages/"+st.ID, `{"keep_last":2}`, "id")
	for n, status := range []store.Status{store.StatusStopped, store.StatusRunning} {
		inst, _ := a.plant(st, a.name(), 1, func(i *store.Instance, tpl *dockertest.Template) {
			i.Status = status
			if status == store.StatusRunning {
				i.Intended, tpl.State, tpl.Finished = store.IntendedRunning, dockertest.Running, time.Time{}
			}
		})
		at := time.Now().Add(time.Duration(n-5) * time.Hour)
		a.update(func(tx *store.Tx) error {
			return tx.InsertDeploy(a.t.Context(), store.Deploy{
				ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: st.HostID, InstanceID: inst.ID, Image: inst.Image, ImageTag: inst.ImageTag,
				State: store.DeployDone, Kind: store.DeployForward, Actor: "system", CreatedAt: at, EndedAt: at,
			})
		})
	}
	return st
}

func newAuditBed(t *testing.T) *auditBed {
	a := &auditBed{frontBed: newFrontBed(t), inbox: newInbox(t), calls: auditTable()}
	a.engine.Publish(dockertest.Image{Ref: "shop:1.0"})
	a.run("scheduler", a.deps.Scheduler.Run)
	return a
}
