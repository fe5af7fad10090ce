package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func one(id string) asked { return asked{at: []string{id}} }

func with(id, body string) asked { return asked{at: []string{id}, body: body} }

func just(body string) func(*auditBed) asked {
	return func(*auditBed) asked { return asked{body: body} }
}

const looksOnly = "it looks and tells, and changes nothing"

// auditTable has a row for each call that could change something.
func auditTable() map[string]audited {
	rows := map[string]audited{}
	add := func(id string, a audited) { rows[id] = a }

	// People.
	add("setup", audited{kind: "auth.setup", actor: "user:root", ask: func(a *auditBed) asked {
		code, err := a.deps.Auth.SetupCode(a.t.Context())
		a.must(err)
		return asked{who: a.nobody, body: `{"code":"` + code + `","name":"root","password":"` + longPassword + `"}`}
	}})
	add("login", audited{kind: "auth.login", actor: "user:root", ask: func(a *auditBed) asked {
		return asked{who: a.nobody, body: `{"name":"root","password":"` + longPassword + `"}`}
	}})
	add("logout", audited{kind: "session.ended", ask: func(a *auditBed) asked { return asked{who: a.someone()} }})
	add("create-token", audited{kind: "token.created", ask: func(a *auditBed) asked { return asked{body: `{"name":"` + a.name() + `","role":"viewer"}`} }})
	add("revoke-token", audited{kind: "token.revoked", ask: func(a *auditBed) asked {
		return one(a.made(post, "/api/tokens", `{"name":"`+a.name()+`","role":"viewer"}`, "id"))
	}})
	add("create-user", audited{kind: "user.created", ask: func(a *auditBed) asked { return asked{body: `{"name":"` + a.name() + `","role":"viewer"}`} }})
	add("update-user", audited{kind: "user.powers_changed", diff: []string{"role"}, ask: func(a *auditBed) asked { return with(a.user(), `{"role":"operator"}`) }})
	add("delete-user", audited{kind: "user.removed", ask: func(a *auditBed) asked { return one(a.user()) }})
	add("disable-user", audited{kind: "user.disabled", ask: func(a *auditBed) asked { return one(a.user()) }})
	add("enable-user", audited{kind: "user.enabled", ask: func(a *auditBed) asked { return one(a.user()) }})
	add("make-password-link", audited{kind: "user.link_made", ask: func(a *auditBed) asked { return one(a.user()) }})
	add("spend-password-link", audited{kind: "user.password_set", actor: "user:linked", ask: func(a *auditBed) asked {
		code := a.made(post, "/api/users", `{"name":"linked","role":"viewer"}`, "link_code")
		return asked{who: a.nobody, body: `{"code":"` + code + `","password":"` + longPassword + `"}`}
	}})
	add("change-password", audited{kind: "user.password_changed", ask: func(a *auditBed) asked {
		return asked{who: a.someone(), body: `{"current_password":"` + longPassword + `","password":"another long one"}`}
	}})
	add("offer-second-factor", audited{kind: "user.second_factor_offered", ask: func(a *auditBed) asked {
		return asked{who: a.someone(), body: `{"current_password":"` + longPassword + `"}`}
	}})
	add("confirm-second-factor", audited{kind: "user.second_factor_on", ask: func(a *auditBed) asked {
		who, secret := a.offered()
		return asked{who: who, body: `{"code":"` + codeNow(a.t, secret) + `"}`}
	}})
	add("make-recovery-codes", audited{kind: "user.recovery_codes_made", ask: func(a *auditBed) asked {
		return asked{who: a.enrolled(), body: `{"code":"` + recoveryCode + `"}`}
	}})
	add("remove-second-factor", audited{kind: "user.second_factor_off", ask: func(a *auditBed) asked {
		return asked{who: a.enrolled(), body: `{"code":"` + recoveryCode + `"}`}
	}})
	add("reset-second-factor", audited{kind: "user.second_factor_off", ask: func(a *auditBed) asked {
		a.enrolled()
		return one(a.somebody.Name)
	}})
	add("end-my-session", audited{kind: "session.ended", ask: func(a *auditBed) asked {
		who := a.someone()
		open, err := who.MySessions(a.t.Context())
		a.must(err)
		return asked{who: who, at: []string{open[0].ID}}
	}})
	add("end-my-other-sessions", audited{kind: "session.ended", ask: func(a *auditBed) asked {
		who := a.someone()
		a.signedIn()
		return asked{who: who}
	}})
	add("end-user-sessions", audited{kind: "session.ended", ask: func(a *auditBed) asked {
		a.someone()
		return one(a.somebody.Name)
	}})
	add("end-user-session", audited{kind: "session.ended", ask: func(a *auditBed) asked {
		open, err := a.someone().MySessions(a.t.Context())
		a.must(err)
		return asked{at: []string{a.somebody.Name, open[0].ID}}
	}})
	const provider = `{"enabled":true,"issuer":"https://id.example","client_id":"us","client_secret":"` + canary + `","external_url":"https://watcher.example"}`
	add("put-identity-provider", audited{kind: "settings.identity_provider", diff: []string{"label", "client_secret"}, ask: func(a *auditBed) asked {
		a.made(put, "/api/identity-provider", provider, "issuer")
		return asked{body: strings.Replace(strings.Replace(provider, canary, canary+"-2", 1), `{`, `{"label":"Acme",`, 1)}
	}})
	add("delete-identity-provider", audited{kind: "settings.identity_provider", ask: func(a *auditBed) asked {
		a.made(put, "/api/identity-provider", provider, "issuer")
		return asked{}
	}})
	add("test-identity-provider", audited{none: looksOnly, ask: func(a *auditBed) asked {
		a.made(put, "/api/identity-provider", strings.Replace(provider, "https://id.example", "https://127.0.0.1:9", 1), "issuer")
		return asked{}
	}})

	// Projects, stages, policies, settings.
	add("create-project", audited{kind: "project.created", ask: func(a *auditBed) asked { return asked{body: `{"name":"` + a.name() + `","image":"shop"}`} }})
	add("update-project", audited{kind: "project.updated", diff: []string{"image", "stale_after"}, ask: func(a *auditBed) asked {
		return with(a.project(), `{"image":"web","stale_after":"3d"}`)
	}})
	add("delete-project", audited{kind: "project.deleted", ask: func(a *auditBed) asked { return one(a.project()) }})
	add("create-stage", audited{kind: "stage.created", ask: func(a *auditBed) asked {
		return asked{body: `{"project_id":"` + a.project() + `","host_id":"local","name":"dev","kind":"dev"}`}
	}})
	add("update-stage", audited{kind: "stage.updated", diff: []string{"drain", "spec.env.PASSWORD", "spec.user", "spec.stop_grace"}, ask: func(a *auditBed) asked {
		return with(a.stage().ID, `{"drain":"3s","spec":{"user":"1000","env":[{"name":"PASSWORD","value":"`+canary+`"}]}}`)
	}})
	add("delete-stage", audited{kind: "stage.deleted", ask: func(a *auditBed) asked { return one(a.stage().ID) }})
	add("import-compose", audited{kind: "stage.created", ask: func(a *auditBed) asked {
		text, err := json.Marshal("services:\n  web:\n    image: shop:1.0\n")
		a.must(err)
		return asked{body: `{"text":` + string(text) + `,"service":"web","project":"` + a.name() + `","stage":"dev","host_id":"local","accept":true}`}
	}})
	add("put-global-policy", audited{kind: "policy.updated", diff: []string{"stale_after"}, ask: just(`{"stale_after":"8d"}`)})
	add("put-project-policy", audited{kind: "policy.updated", diff: []string{"stale_after"}, ask: func(a *auditBed) asked { return with(a.project(), `{"stale_after":"9d"}`) }})
	add("put-stage-policy", audited{kind: "policy.updated", diff: []string{"stale_after", "keep_last"}, ask: func(a *auditBed) asked { return with(a.stage().ID, `{"stale_after":"9d"}`) }})
	add("try-policy", audited{none: looksOnly, ask: just(`{"level":"global","policy":{"stale_after":"9d"}}`)})
	add("try-rule", audited{none: looksOnly, ask: func(a *auditBed) asked {
		return with(a.stage().ID, `{"tag_rule":{"kind":"glob","pattern":"*"},"tags":["1.0"]}`)
	}})
	add("try-new-rule", audited{none: looksOnly, ask: func(a *auditBed) asked { return with(a.project(), `{"tag_rule":{"kind":"glob","pattern":"*"}}`) }})
	add("update-settings", audited{kind: "settings.changed", diff: []string{"event_retention_days"}, ask: just(`{"event_retention_days":77}`)})
	add("rotate-keys", audited{kind: "keys.rotated", ask: just(`{}`)})

	// Registries and webhooks.
	add("create-registry", audited{kind: "registry.created", ask: func(a *auditBed) asked {
		return asked{body: `{"name":"` + a.name() + `","host":"` + a.name() + `.example"}`}
	}})
	add("update-registry", audited{kind: "registry.updated", diff: []string{"username", "password"}, ask: func(a *auditBed) asked {
		return with(a.depot(), `{"username":"bert","password":"`+canary+`-2"}`)
	}})
	add("delete-registry", audited{kind: "registry.removed", ask: func(a *auditBed) asked { return one(a.depot()) }})
	add("test-registry", audited{kind: "registry.tested", ask: func(a *auditBed) asked {
		name := a.name()
		return one(a.made(post, "/api/registries", `{"name":"`+name+`","host":"127.0.0.1:9","plain_http":true}`, "id"))
	}})
	add("make-hook", audited{kind: "registry.hook_made", diff: []string{"secret"}, ask: func(a *auditBed) asked { return one(a.depot()) }})
	add("delete-hook", audited{kind: "registry.hook_removed", ask: func(a *auditBed) asked {
		id := a.depot()
		a.made(post, "/api/registries/"+id+"/hook", "", "secret")
		return one(id)
	}})
	hear := func(a *auditBed) (id, secret, image string) {
		name := a.name()
		id = a.made(post, "/api/registries", `{"name":"`+name+`","host":"`+name+`.example"}`, "id")
		secret = a.made(post, "/api/registries/"+id+"/hook", "", "secret")
		project := a.made(post, "/api/projects", `{"name":"`+a.name()+`","image":"`+name+`.example/acme/shop"}`, "id")
		stage := a.made(post, "/api/stages", `{"project_id":"`+project+`","host_id":"local","name":"dev","kind":"dev","tag_rule":{"kind":"glob","pattern":"*"}}`, "id")
		a.update(func(tx *store.Tx) error {
			return tx.SavePoll(a.t.Context(), store.StagePoll{StageID: stage, NextAt: time.Now().Add(time.Hour)})
		})
		return id, secret, "acme/shop"
	}
	add("hear-hook-at", audited{kind: "registry.hook_heard", actor: "webhook:", ask: func(a *auditBed) asked {
		id, secret, image := hear(a)
		return asked{who: a.nobody, at: []string{id, secret}, body: `{"repository":"` + image + `"}`}
	}})
	add("hear-hook", audited{kind: "registry.hook_heard", actor: "webhook:", ask: func(a *auditBed) asked {
		id, secret, image := hear(a)
		return asked{who: a.nobody.As(secret), at: []string{id}, body: `{"repository":"` + image + `"}`}
	}})

	// Deploys and instances.
	add("start-deploy", audited{kind: "deploy.started", ask: func(a *auditBed) asked { return with(a.stage().ID, `{"tag":"1.0"}`) }})
	add("rollback", audited{kind: "deploy.started", ask: func(a *auditBed) asked { return with(a.former().ID, `{"to":"1.0"}`) }})
	add("cancel-deploy", audited{kind: "deploy.cancel_asked", ask: func(a *auditBed) asked {
		a.engine.Publish(dockertest.Image{Ref: "shop:slow", PullTime: time.Hour})
		d, err := a.operator.StartDeploy(a.t.Context(), a.stage().ID, client.DeployRequest{Tag: "slow"}) // that of somebody else
		a.must(err)
		return one(d.ID)
	}})
	add("start-instance", audited{kind: "instance.started", ask: func(a *auditBed) asked { return one(a.instance(store.StatusStopped).ID) }})
	add("stop-instance", audited{kind: "instance.stopped", ask: func(a *auditBed) asked { return one(a.instance(store.StatusRunning).ID) }})
	add("restart-instance", audited{kind: "instance.restarted", ask: func(a *auditBed) asked { return one(a.instance(store.StatusRunning).ID) }})
	add("remove-instance", audited{kind: "instance.removed", ask: func(a *auditBed) asked { return one(a.instance(store.StatusStopped).ID) }})
	add("pin-instance", audited{kind: "instance.pinned", ask: func(a *auditBed) asked { return one(a.instance(store.StatusStopped).ID) }})
	add("unpin-instance", audited{kind: "instance.unpinned", ask: func(a *auditBed) asked {
		id := a.instance(store.StatusStopped).ID
		a.made(post, "/api/instances/"+id+"/pin", "", "id")
		return one(id)
	}})
	add("snooze-instance", audited{kind: "instance.snoozed", ask: func(a *auditBed) asked {
		return with(a.instance(store.StatusStopped).ID, `{"for":"2d","reason":"wait"}`)
	}})
	add("unsnooze-instance", audited{kind: "instance.unsnoozed", ask: func(a *auditBed) asked {
		id := a.instance(store.StatusStopped).ID
		a.made(post, "/api/instances/"+id+"/snooze", `{"for":"2d","reason":"wait"}`, "id")
		return one(id)
	}})
	adoption := func(a *auditBed) asked {
		name := a.name()
		ct := a.stranger(name, -1)
		return asked{body: `{"make":true,"items":[{"host_id":"local","container_id":"` + ct.ID + `","project":"` + name + `","stage":"production"}]}`}
	}
	add("adopt", audited{kind: "instance.adopted", ask: adoption})
	add("unadopt-instance", audited{kind: "instance.unadopted", ask: func(a *auditBed) asked {
		_, _, text := a.raw(a.admin, post, "/api/containers/foreign/adopt", adoption(a).body)
		var made client.Adoption
		a.must(json.Unmarshal([]byte(text), &made))
		return one(made.Items[0].InstanceID)
	}})

	// Cleanup and undo.
	add("scan", audited{kind: "scan.asked", ask: func(a *auditBed) asked { return asked{body: `{"host_id":"` + a.host.ID + `"}`} }})
	add("cleanup", audited{kind: "cleanup.planned", ask: func(a *auditBed) asked {
		return asked{body: `{"dry_run":true,"ids":["` + a.stale().ID + `"]}`}
	}})
	add("cleanup-one", audited{kind: "cleanup.applied", ask: func(a *auditBed) asked {
		inst := a.stale()
		p, err := a.admin.PlanOne(a.t.Context(), inst.ID)
		a.must(err)
		return with(inst.ID, `{"plan_id":"`+p.ID+`"}`)
	}})
	add("cancel-plan", audited{kind: "cleanup.cancelled", ask: func(a *auditBed) asked { return one(a.plan()) }})
	add("restore-archive", audited{kind: "archive.restored", ask: func(a *auditBed) asked { return one(a.removed().ArchiveID) }})
	add("restore-plan", audited{kind: "archive.restored", ask: func(a *auditBed) asked {
		archive, err := a.admin.Archive(a.t.Context(), a.removed().ArchiveID)
		a.must(err)
		return one(archive.PlanID)
	}})
	add("delete-archive", audited{kind: "archive.deleted", ask: func(a *auditBed) asked { return one(a.removed().ArchiveID) }})
	add("reclaim", audited{kind: "reclaim.planned", ask: func(a *auditBed) asked { return with(a.host.ID, `{"dry_run":true}`) }})
	add("remove-volume", audited{kind: "volume.removed", ask: func(a *auditBed) asked {
		before := a.engine.Volumes()
		a.removed()
		for _, v := range a.engine.Volumes() {
			if !slices.Contains(before, v) {
				return asked{at: []string{a.host.ID, v + "?break_undo=true"}}
			}
		}
		a.t.Fatal("no volume was left")
		return asked{}
	}})
	add("mend-leftover", audited{kind: "leftover.mended", ask: func(a *auditBed) asked {
		st := a.stage()
		p, err := a.db.Project(a.t.Context(), st.ProjectID)
		a.must(err)
		stray := a.engine.Add(dockertest.Template{Name: a.name(), Image: "shop:1.0", State: dockertest.Exited, Created: a.engine.Now().Add(-time.Hour), Labels: map[string]string{
			docker.LabelManaged: "true", docker.LabelInstallation: a.db.InstallationID(), docker.LabelInstance: store.NewID(),
			docker.LabelProject: p.Name, docker.LabelStage: st.Name,
		}})
		a.scan()
		left, err := a.viewer.Leftovers(a.t.Context(), "")
		a.must(err)
		at := slices.IndexFunc(left, func(l client.Leftover) bool { return l.Subject == stray.ID })
		return with(left[at].ID, `{"yes":"`+stray.ID+`"}`)
	}})

	// Routes and certificates.
	add("create-proxy", audited{kind: "proxy.created", ask: func(a *auditBed) asked {
		return asked{body: `{"domains":["` + a.name() + `.example"],"targets":["http://10.0.0.7:80"]}`}
	}})
	const changed = `{"notes":"why","basic_auth":[{"user":"anna","password":"` + canary + `"}],"request_headers":[{"name":"X-Key","value":"` + canary + `"}]}`
	add("update-proxy", audited{kind: "proxy.updated", diff: []string{"notes", "basic_auth", "request_headers"}, ask: func(a *auditBed) asked { return with(a.proxy(), changed) }})
	add("delete-proxy", audited{kind: "proxy.removed", ask: func(a *auditBed) asked { return one(a.proxy()) }})
	add("enable-proxy", audited{kind: "proxy.enabled", ask: func(a *auditBed) asked {
		id := a.proxy()
		a.made(post, "/api/proxies/"+id+"/disable", "", "id")
		return one(id)
	}})
	add("disable-proxy", audited{kind: "proxy.disabled", ask: func(a *auditBed) asked { return one(a.proxy()) }})
	add("import-proxies", audited{kind: "proxy.updated", diff: []string{"notes"}, ask: func(a *auditBed) asked {
		id := a.proxy()
		domain := fmt.Sprintf("thing-%d.example", a.n)
		return asked{body: `{"document":` + string(proxiesDoc(`{"id":"`+id+`","domains":["`+domain+`"],"targets":["http://10.0.0.7:80"],"notes":"moved"}`)) + `}`}
	}})
	add("try-proxy", audited{none: looksOnly, ask: just(`{"targets":["http://127.0.0.1:9"]}`)})
	add("test-proxy", audited{none: looksOnly, ask: func(a *auditBed) asked { return one(a.proxy()) }})
	add("create-route", audited{kind: "route.created", ask: func(a *auditBed) asked {
		inst := a.instance(store.StatusRunning)
		return asked{body: `{"stage_id":"` + inst.StageID + `","instance_id":"` + inst.ID + `","port":80,"domains":["` + a.name() + `.example"]}`}
	}})
	add("update-route", audited{kind: "route.updated", diff: []string{"notes", "basic_auth", "request_headers"}, ask: func(a *auditBed) asked { return with(a.route(), changed) }})
	add("delete-route", audited{kind: "route.removed", ask: func(a *auditBed) asked { return one(a.route()) }})
	add("disable-route", audited{kind: "route.disabled", ask: func(a *auditBed) asked { return one(a.route()) }})
	add("enable-route", audited{kind: "route.enabled", ask: func(a *auditBed) asked {
		id := a.route()
		a.made(post, "/api/routes/"+id+"/disable", "", "id")
		return one(id)
	}})
	add("test-route", audited{none: looksOnly, ask: func(a *auditBed) asked { return one(a.route()) }})
	upload := func(a *auditBed) asked {
		chain, key := selfSigned(a.t, 100*24*time.Hour, "own.example")
		body, err := json.Marshal(map[string]string{"chain": chain, "key": key})
		a.must(err)
		return with(a.name(), string(body))
	}
	add("upload-certificate", audited{kind: "certificate.uploaded", ask: upload})
	add("delete-certificate", audited{kind: "certificate.removed", ask: func(a *auditBed) asked {
		up := upload(a)
		return one(a.made(put, "/api/certificates/own/"+up.at[0], up.body, "id"))
	}})
	add("renew-certificate", audited{kind: "certificate.asked", ask: func(a *auditBed) asked {
		domain := a.name() + ".internal"
		a.made(post, "/api/proxies", `{"domains":["`+domain+`"],"targets":["http://10.0.0.7:80"],"tls":"internal"}`, "id")
		id := "internal:" + domain
		eventually(a.t, "the certificate "+id, func() bool {
			c, err := a.viewer.Certificate(a.t.Context(), id)
			return err == nil && c.State == "valid" && !c.Busy
		})
		return one(id)
	}})
	add("put-authority", audited{kind: "certificate.authority", diff: []string{"email", "directory", "eab_key_id", "eab_secret"}, ask: just(`{"email":"ops@example.com","directory":"https://127.0.0.1:1/dir","roots":"","eab_key_id":"kid","eab_secret":"` + canaryKey + `"}`)})

	// Notifications.
	add("create-channel", audited{kind: "channel.created", ask: func(a *auditBed) asked {
		return asked{body: `{"name":"` + a.name() + `","url":"` + a.inbox.URL + `/` + tokenInURL + `"}`}
	}})
	add("update-channel", audited{kind: "channel.updated", diff: []string{"url", "title"}, ask: func(a *auditBed) asked {
		return with(a.channel(), `{"title":"{{.Count}} things","url":"`+a.inbox.URL+`/`+tokenInURL+`-2"}`)
	}})
	add("delete-channel", audited{kind: "channel.removed", ask: func(a *auditBed) asked { return one(a.channel()) }})
	add("test-channel", audited{kind: "channel.tested", ask: func(a *auditBed) asked { return one(a.channel()) }})
	add("try-channel", audited{kind: "channel.tested", ask: func(a *auditBed) asked { return asked{body: `{"url":"` + a.inbox.URL + `"}`} }})
	add("preview-message", audited{none: looksOnly, ask: just(`{}`)})
	add("create-notification-rule", audited{kind: "rule.created", ask: func(a *auditBed) asked { return asked{body: `{"name":"` + a.name() + `","kinds":["test.*"]}`} }})
	add("update-notification-rule", audited{kind: "rule.updated", diff: []string{"kinds", "gather_minutes"}, ask: func(a *auditBed) asked { return with(a.rule(), `{"kinds":["deploy.*"],"gather_minutes":7}`) }})
	add("delete-notification-rule", audited{kind: "rule.removed", ask: func(a *auditBed) asked { return one(a.rule()) }})
	add("retry-outbox", audited{kind: "message.retried", ask: just(`{}`)})
	add("retry-message", audited{kind: "message.retried", ask: func(a *auditBed) asked { return one(a.message()) }})
	add("delete-message", audited{kind: "message.deleted", ask: func(a *auditBed) asked { return one(a.message()) }})

	// Hosts and backups.
	add("create-host", audited{kind: "host.added", ask: func(a *auditBed) asked {
		return asked{body: `{"name":"` + a.name() + `","endpoint":"` + dockertest.Serve(a.t, dockertest.Options{EngineID: a.name()}).Endpoint() + `"}`}
	}})
	add("update-host", audited{kind: "host.changed", diff: []string{"name"}, ask: func(a *auditBed) asked { return with(a.another(), `{"name":"`+a.name()+`"}`) }})
	add("delete-host", audited{kind: "host.removed", ask: func(a *auditBed) asked { return one(a.another()) }})
	add("disable-host", audited{kind: "host.disabled", ask: func(a *auditBed) asked { return one(a.another()) }})
	add("enable-host", audited{kind: "host.enabled", ask: func(a *auditBed) asked {
		id := a.another()
		a.made(post, "/api/hosts/"+id+"/disable", "", "id")
		return one(id)
	}})
	add("accept-host", audited{kind: "host.accepted", ask: func(a *auditBed) asked { return one(a.host.ID) }})
	add("try-host", audited{kind: "host.tested", ask: just(`{"endpoint":"tcp://127.0.0.1:9","plain":true}`)})
	add("test-host", audited{kind: "host.tested", ask: func(a *auditBed) asked { return one(a.another()) }})
	add("run-job", audited{kind: "job.asked", ask: func(a *auditBed) asked {
		name := a.name()
		a.must(a.deps.Scheduler.Set(schedule.Job{Name: name, Spec: "@every 1h", Run: func(context.Context) error { return nil }}))
		return one(name)
	}})
	add("make-backup", audited{kind: "backup.made", ask: just("")})
	add("delete-backup", audited{kind: "backup.removed", ask: func(a *auditBed) asked {
		old, err := a.admin.Backups(a.t.Context())
		a.must(err)
		if len(old) > 0 {
			return one(old[0].Name)
		}
		return one(a.made(post, "/api/backups", "", "name"))
	}})
	return rows
}
