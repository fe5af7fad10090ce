//go:build pictures

package e2e

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// world is an installation that has lived for two months, for pictures: the store of a daemon and the engine that goes with it.
// The engine is the pretended one, because no real one can be told that a container stopped last month.
type world struct {
	t       *testing.T
	now     time.Time
	db      *store.DB
	engine  *dockertest.Engine
	images  string // where its registry is
	host    store.Host
	stages  map[string]store.Stage // by project/stage
	project map[string]store.Project
	events  []store.Event
	serving []*dockertest.Container
}

const (
	mib = 1 << 20
	ago = -24 * time.Hour
)

func newWorld(t *testing.T, data string) *world {
	db, err := store.Open(t.Context(), store.Options{DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	options := dockertest.Docker28()
	options.EngineID, options.Name = "4NKV:PFXH:7QZT:WLSO", "atlas"
	w := &world{
		t: t, now: time.Now().UTC().Truncate(time.Second), db: db, engine: pretend(t, options),
		stages: map[string]store.Stage{}, project: map[string]store.Project{},
	}
	w.host = store.Host{
		ID: store.NewID(), Name: "local", Endpoint: w.engine.Endpoint(), EngineID: options.EngineID, CreatedAt: w.now.Add(61 * ago),
		LastScanAt: w.now.Add(-9 * time.Minute), LastGoodScan: w.now.Add(-9 * time.Minute), WatchedUntil: w.now.Add(-2 * time.Minute),
	}
	w.images = w.serveImages() + "/acme/"
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertHost(ctx, w.host) })
	w.makeProjects()
	w.makeInstances()
	w.makePreviews()
	w.makeStrangers()
	w.makeHistory()
	w.makeSettings()
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, w.sorted()...) })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

// pretend is a pretended engine with an address such as engines have.
func pretend(t *testing.T, o dockertest.Options) *dockertest.Engine {
	socket := filepath.Join(os.TempDir(), "docker.sock")
	_ = os.Remove(socket) // of a run that was cut off
	e := dockertest.Start(o)
	if err := e.Listen(socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// serveImages is a registry of its own, where registries usually are if that is free.
func (w *world) serveImages() string {
	l, err := net.Listen("tcp", "127.0.0.1:5000")
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go func() { _ = server.Serve(l) }() // it ends with the test
	w.t.Cleanup(func() { _ = server.Close() })
	return fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port)
}

func (w *world) push(reference string) {
	tag, err := name.NewTag(reference)
	if err == nil {
		err = remote.Write(tag, empty.Image, remote.WithContext(w.t.Context()))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) update(fn func(context.Context, *store.Tx) error) {
	w.t.Helper()
	if err := w.db.Update(w.t.Context(), func(tx *store.Tx) error { return fn(w.t.Context(), tx) }); err != nil {
		w.t.Fatal(err)
	}
}

// makeProjects makes six projects as teams have them.
func (w *world) makeProjects() {
	for name, stages := range map[string][]store.StageKind{
		"checkout-api": {store.StageDev, store.StageStaging, store.StageProduction, store.StagePreview},
		"storefront":   {store.StageStaging, store.StageProduction, store.StagePreview},
		"docs-site":    {store.StageProduction, store.StagePreview},
		"billing":      {store.StageDev, store.StageStaging, store.StageProduction},
		"search":       {store.StageStaging, store.StageProduction},
		"mail-relay":   {store.StageProduction},
	} {
		p := store.Project{ID: store.NewID(), Name: name, Image: w.images + name, CreatedAt: w.now.Add(60 * ago), UpdatedAt: w.now}
		w.project[name] = p
		w.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertProject(ctx, p) })
		for _, kind := range stages {
			s := store.Stage{
				ID: store.NewID(), ProjectID: p.ID, HostID: w.host.ID, Name: string(kind), Kind: kind, KeepLast: store.KeepInherit,
				Spec: store.Spec{
					Ports: []store.Port{{Container: 8080}}, Restart: "unless-stopped", StopGrace: 10 * time.Second,
					Env:    []store.EnvVar{{Name: "DATABASE_URL", Value: "postgres://db/" + name}, {Name: "LOG_LEVEL", Value: "info"}},
					Mounts: []store.Mount{{Source: name + "-data", Target: "/var/lib/app"}},
					Health: store.Health{Kind: store.HealthHTTP, Port: 8080, Path: "/healthz"},
				},
				CreatedAt: w.now.Add(60 * ago), UpdatedAt: w.now,
			}
			w.stages[name+"/"+s.Name] = s
			w.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertStage(ctx, s) })
		}
	}
}

// past is one instance of the past or of today.
type past struct {
	stage, tag string
	days       float64 // since it stopped; 0: it runs
	ran        float64 // for so many days before
	class      store.Class
	code       int
	bytes      int64
	keep       func(*store.Instance)
	failed     bool // its deploy
}

func (w *world) makeInstances() {
	pin := func(why string) func(*store.Instance) {
		return func(i *store.Instance) { i.PinnedAt, i.PinnedBy, i.PinReason = w.now.Add(4*ago), "user:anna", why }
	}
	snooze := func(i *store.Instance) {
		i.SnoozedUntil, i.SnoozedBy, i.SnoozeReason = w.now.Add(-6*ago), "user:ben", "demo for the sales team"
	}
	rollback := func(i *store.Instance) { i.RollbackKept = true }
	for _, p := range []past{
		{stage: "checkout-api/production", tag: "4.12.3", ran: 11.2},
		{stage: "checkout-api/staging", tag: "4.13.0", ran: 1.1},
		{stage: "checkout-api/dev", tag: "4.14.0-rc.2", ran: 0.2},
		{stage: "checkout-api/preview", tag: "pr-482", ran: 0.9},
		{stage: "storefront/production", tag: "2.8.1", ran: 6.4},
		{stage: "storefront/staging", tag: "2.9.0", ran: 2.2},
		{stage: "storefront/preview", tag: "pr-219", ran: 0.4},
		{stage: "docs-site/production", tag: "latest", ran: 3.3},
		{stage: "billing/production", tag: "1.9.4", ran: 19},
		{stage: "billing/staging", tag: "1.10.0", ran: 0.1},
		{stage: "billing/dev", tag: "main-7f31c2", ran: 0.05},
		{stage: "search/production", tag: "0.17.2", ran: 25},
		{stage: "search/staging", tag: "0.18.0-rc.1", ran: 4.1},
		{stage: "mail-relay/production", tag: "3.1", ran: 42},

		{stage: "checkout-api/preview", tag: "pr-455", days: 8.2, ran: 3, bytes: 212 * mib},
		{stage: "checkout-api/preview", tag: "pr-431", days: 12.6, ran: 6, bytes: 486 * mib, class: store.ClassOOM, code: 137},
		{stage: "checkout-api/preview", tag: "pr-418", days: 21.3, ran: 2, bytes: 1190 * mib},
		{stage: "checkout-api/dev", tag: "4.14.0-rc.1", days: 9.4, ran: 5, bytes: 96 * mib},
		{stage: "storefront/preview", tag: "pr-204", days: 15.1, ran: 4, bytes: 338 * mib, class: store.ClassFailed, code: 1},
		{stage: "storefront/preview", tag: "pr-187", days: 33.7, ran: 9, bytes: 645 * mib},
		{stage: "storefront/staging", tag: "2.8.0", days: 44.2, ran: 12, bytes: 120 * mib},
		{stage: "docs-site/preview", tag: "docs-rewrite", days: 58.5, ran: 1, bytes: 74 * mib},
		{stage: "docs-site/preview", tag: "typo-fix", days: 27.9, ran: 1, bytes: 12 * mib, class: store.ClassFailed, code: 3},
		{stage: "billing/dev", tag: "main-1b09aa", days: 10.8, ran: 0.4, bytes: 38 * mib},
		{stage: "billing/dev", tag: "main-ddc410", days: 97.4, ran: 2, bytes: 902 * mib},
		{stage: "search/staging", tag: "0.16.0", days: 141.6, ran: 30, bytes: 1630 * mib},
		{stage: "billing/staging", tag: "1.9.3", days: 19.8, ran: 14, bytes: 64 * mib, keep: pin("compare invoices with 1.10")},
		{stage: "search/staging", tag: "0.17.2", days: 24.1, ran: 20, bytes: 410 * mib, keep: rollback},
		{stage: "storefront/preview", tag: "sales-demo", days: 13.5, ran: 7, bytes: 88 * mib, keep: snooze},
		{stage: "checkout-api/production", tag: "4.12.2", days: 11.2, ran: 16, bytes: 51 * mib, keep: rollback},
		{stage: "checkout-api/dev", tag: "4.14.0-rc.3", days: 0.02, ran: 0.001, class: store.ClassFailed, code: 1, failed: true},
	} {
		w.add(p)
	}
}

func span(days float64) time.Duration { return time.Duration(days * 24 * float64(time.Hour)) }

// add puts one instance on the engine and into the store, with the events and the deploy that it came by.
func (w *world) add(p past) {
	s := w.stages[p.stage]
	project := w.project[p.stage[:len(p.stage)-len(s.Name)-1]]
	ended := w.now.Add(-span(p.days))
	began := ended.Add(-span(p.ran))
	id := store.NewID()
	name := fmt.Sprintf("%s-%s-%s", project.Name, s.Name, id[len(id)-6:])
	i := store.Instance{
		ID: id, HostID: w.host.ID, ProjectID: project.ID, StageID: s.ID, Name: name, Ownership: store.OwnershipCreated, EngineID: w.host.EngineID,
		Image: project.Image, ImageTag: p.tag, Spec: s.Spec, Status: store.StatusRunning, Intended: store.IntendedRunning, ContainerCreatedAt: began,
		StartedAt: began, CreatedAt: began.Add(-8 * time.Second), UpdatedAt: w.now, CheckedAt: w.now, SizeRw: p.bytes, SizeAt: w.now,
	}
	template := dockertest.Template{
		Name: name, Image: project.Image + ":" + p.tag, State: dockertest.Running, Created: began, Started: began, SizeRw: p.bytes, Restart: "unless-stopped",
		Ports: []string{fmt.Sprintf("127.0.0.1:%d:8080/tcp", 32700+len(w.events))}, Volumes: []string{project.Name + "-data:/var/lib/app"},
		Labels: map[string]string{
			docker.LabelManaged: "true", docker.LabelInstallation: w.db.InstallationID(), docker.LabelInstance: i.ID,
			docker.LabelProject: project.Name, docker.LabelStage: s.Name,
		},
	}
	if p.days > 0 {
		i.Status, i.Intended, i.FinishedAt, i.LastAliveAt, i.Evidence = store.StatusStopped, store.IntendedStopped, ended, ended, store.EvidenceFinishedAt
		i.Class, i.ExitCode, i.OOMKilled = p.class, p.code, p.class == store.ClassOOM
		if i.Class == store.ClassNone {
			i.Class = store.ClassExited
		}
		template.State, template.Finished, template.ExitCode, template.OOMKilled = dockertest.Exited, ended, p.code, i.OOMKilled
		template.Ports = nil
	}
	if p.days > 7 {
		i.StaleSince = ended.Add(-7 * ago)
		i.WarnedAt = i.StaleSince
	}
	if p.failed {
		i.Status = store.StatusFailed
	}
	if p.keep != nil {
		p.keep(&i)
		i.WarnedAt = time.Time{}
	}
	w.push(template.Image)
	container := w.engine.Add(template)
	container.Log("stdout", `level=info msg="listening" port=8080`)
	if p.class == store.ClassOOM {
		container.Log("stderr", `level=warn msg="memory 498 MiB of 512 MiB"`)
	}
	if p.class == store.ClassFailed {
		container.Log("stderr", `level=error msg="database is not there" attempt=5`)
	}
	if p.days == 0 {
		w.serving = append(w.serving, container)
	}
	i.ContainerID = container.ID
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertInstance(ctx, i) })
	w.deployed(p, project, s, i, began)
	w.lived(p, s, i, ended)
}

func (w *world) deployed(p past, project store.Project, s store.Stage, i store.Instance, at time.Time) {
	d := store.Deploy{
		ID: store.NewID(), ProjectID: project.ID, StageID: s.ID, HostID: w.host.ID, InstanceID: i.ID, Image: project.Image, ImageTag: p.tag,
		State: store.DeployDone, Actor: "token:ci", CreatedAt: at.Add(-9 * time.Second), EndedAt: at.Add(6 * time.Second),
	}
	reference := project.Image + ":" + p.tag
	w.happened(d.CreatedAt, store.SeverityInfo, store.SourceDeployer, "deploy.started", fmt.Sprintf("deploy of %s to %s asked for", reference, p.stage), i, nil)
	if p.failed {
		d.State, d.Error = store.DeployFailed, "its container ended with exit code 1"
		w.happened(d.EndedAt, store.SeverityError, store.SourceDeployer, "deploy.failed",
			fmt.Sprintf("deploy of %s to %s failed: %s: look at its log; what served before still serves", reference, p.stage, d.Error), i, map[string]any{"reason": d.Error})
	} else {
		w.happened(d.EndedAt, store.SeverityInfo, store.SourceDeployer, "deploy.done", fmt.Sprintf("deployed %s to %s: %s is healthy", reference, p.stage, i.Name), i, nil)
	}
	w.update(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertDeploy(ctx, d); err != nil {
			return err
		}
		for _, l := range logOf(d, i.Name, reference) {
			if _, err := tx.AppendDeployLog(ctx, l); err != nil {
				return err
			}
		}
		return nil
	})
}

// logOf is what the log of a deploy says that pulled 86 MiB.
func logOf(d store.Deploy, name, reference string) []store.DeployLine {
	last := store.DeployLine{State: d.State, Text: string(d.State)}
	if d.Error != "" {
		last.Text += ": " + d.Error
	}
	lines := []store.DeployLine{
		{State: store.DeployQueued, Text: "queued: asked for by " + d.Actor},
		{State: store.DeployPulling, Text: "pulling " + reference},
		{State: store.DeployPulling, Text: "pulling " + reference + ": Download complete", DoneBytes: 86 * mib, TotalBytes: 86 * mib},
		{State: store.DeployStarting, Text: "starting " + name},
		{State: store.DeployChecking, Text: "checking: waiting until " + name + " is healthy"},
		{State: store.DeploySwitching, Text: "switching: " + name + " is healthy"},
		{State: store.DeployDraining, Text: "draining: " + name + " serves"},
		last,
	}
	if d.State != store.DeployDone {
		lines = append(lines[:5], last)
	}
	for n := range lines {
		lines[n].DeployID, lines[n].Time = d.ID, d.CreatedAt.Add(d.EndedAt.Sub(d.CreatedAt)*time.Duration(n)/time.Duration(len(lines)-1))
	}
	return lines
}

// makeStrangers puts containers on the engine that are not ours.
func (w *world) makeStrangers() {
	compose := func(service string) map[string]string {
		return map[string]string{"com.docker.compose.project": "wiki", "com.docker.compose.service": service}
	}
	for _, t := range []dockertest.Template{
		{Name: "wiki-web-1", Image: "ghcr.io/acme/wiki:1.4", Labels: compose("web"), Restart: "always", Created: w.now.Add(90 * ago)},
		{Name: "wiki-db-1", Image: "postgres:16", Labels: compose("db"), Restart: "always", Volumes: []string{"wiki-db:/var/lib/postgresql/data"}, Created: w.now.Add(90 * ago)},
		{Name: "old-jenkins", Image: "jenkins/jenkins:2.401", State: dockertest.Exited, ExitCode: 143, Created: w.now.Add(400 * ago), Finished: w.now.Add(131 * ago)},
		{Name: "try-redis", Image: "redis:7", State: dockertest.Exited, Created: w.now.Add(19 * ago), Finished: w.now.Add(18 * ago)},
	} {
		w.engine.Add(t)
	}
}

// makePreviews lets the tags of one stage run side by side, each at a domain of its own.
func (w *world) makePreviews() {
	for n, tag := range []string{"pr-207", "pr-212"} {
		w.add(past{stage: "storefront/preview", tag: tag, ran: 3.1 - float64(n)})
	}
	s := w.stages["storefront/preview"]
	s.Strategy, s.ParallelMax, s.Domain = store.StrategyParallel, 3, "{{tag}}.{{project}}.acme.dev"
	w.update(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.UpdateStage(ctx, s); err != nil {
			return err
		}
		live, _, err := tx.Instances(ctx, store.InstanceFilter{StageID: s.ID, Statuses: []store.Status{store.StatusRunning}}, store.Page{Limit: 10})
		if err != nil {
			return err
		}
		for _, i := range live {
			if err := tx.PointDomain(ctx, i.Instance, i.ImageTag+".storefront.acme.dev", 8080); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) lived(p past, s store.Stage, i store.Instance, ended time.Time) {
	if p.days == 0 || p.failed {
		return
	}
	w.happened(ended, store.SeverityInfo, store.SourceEngine, "instance.status", fmt.Sprintf("%s ended with exit code %d", i.Name, p.code), i,
		map[string]any{"from": "running", "to": "stopped"})
	if i.StaleSince.IsZero() {
		return
	}
	if !i.WarnedAt.IsZero() {
		w.happened(i.StaleSince, store.SeverityWarn, store.SourceScanner, "instance.stale",
			fmt.Sprintf("%s of %s has not been alive for 7 days (%s)", i.Name, p.stage, i.Class), i, nil)
		return
	}
	w.happened(i.StaleSince, store.SeverityInfo, store.SourceScanner, "instance.protected", i.Name+" has become stale and is kept", i, nil)
}

func (w *world) happened(at time.Time, severity store.Severity, source store.Source, kind, message string, i store.Instance, data map[string]any) {
	w.events = append(w.events, store.Event{
		Time: at, Severity: severity, Source: source, Kind: kind, Message: message, ProjectID: i.ProjectID, StageID: i.StageID, InstanceID: i.ID,
		HostID: w.host.ID, Actor: actorOf(source), Data: data,
	})
}

func actorOf(s store.Source) string {
	if s == store.SourceDeployer {
		return "token:ci"
	}
	return ""
}

// live lets what serves use its host a little differently each second, until the test ends.
func (w *world) live(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		for k, c := range w.serving {
			wave := float64((n*7+k*13)%23) / 23
			c.SetUsage(0.06+0.35*wave*wave, int64((140+3*(n%40))*mib)+int64(wave*22*mib))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func withWorld(t *testing.T, dir string) (*world, string) {
	data := filepath.Join(dir, "world")
	return newWorld(t, data), data
}
