//go:build unix

package main_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// fleet is a daemon with the engine of the run, and a private one beside it.
type fleet struct {
	*daemon
	t       *testing.T
	admin   *client.Client
	private *enginetest.Private
	far     client.Host
}

func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%v\n%s", err, f.stderr.String())
	}
}

func (f *fleet) host() client.Host {
	f.t.Helper()
	h, err := f.admin.Host(f.t.Context(), f.far.ID)
	f.must(err)
	return h
}

func (f *fleet) status(id string) string {
	f.t.Helper()
	i, err := f.admin.Instance(f.t.Context(), id)
	f.must(err)
	return i.Status
}

func (f *fleet) comesTo(id, status string) {
	f.t.Helper()
	eventually(f.t, id+" is "+status, func() bool { return f.status(id) == status })
}

// deploy brings a stage of its own on a host to the app.
func (f *fleet) deploy(name, host string) client.Instance {
	f.t.Helper()
	st, err := f.admin.CreateStage(f.t.Context(), client.NewStage{
		ProjectID: "shop", Name: name, Kind: "preview", HostID: host,
		Spec: &client.Spec{Health: &client.Health{Kind: "tcp", Port: enginetest.AppPort}, Ports: []client.Port{{Container: enginetest.AppPort}}, StopGrace: "1s"},
	})
	f.must(err)
	d, err := f.admin.StartDeploy(f.t.Context(), st.ID, client.DeployRequest{Tag: "1.0"})
	f.must(err)
	eventually(f.t, "the deploy ends", func() bool {
		d, err = f.admin.Deploy(f.t.Context(), d.ID)
		f.must(err)
		return d.Ended()
	})
	if d.State != "done" {
		f.t.Fatalf("got %+v", d)
	}
	i, err := f.admin.Instance(f.t.Context(), d.InstanceID)
	f.must(err)
	return i
}

// TestTwoRealEngines walks the whole story of a second host: certificates, a hang, a crash, ssh, a cut, out of use, and gone.
func TestTwoRealEngines(t *testing.T) {
	near := enginetest.Engine(t)
	authority := enginetest.NewAuthority(t)
	endpoint, tlsFlags := authority.TLSFlags()
	private := enginetest.StartPrivate(t, tlsFlags...)
	sshd := enginetest.StartSSHD(t)
	registry := enginetest.Registry(t)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := registry + "/shop"
	if err := enginetest.PushApp(t.Context(), app, image+":1.0", "1.0"); err != nil {
		t.Fatal(err)
	}
	d := launch(t, flags(t.TempDir(), enginetest.Endpoint(t))...)
	f := &fleet{daemon: d, t: t, private: private, admin: d.client(d.setUp())}
	ctx := t.Context()
	enginetest.RemoveImageAfter(t, near, image+":1.0")

	// Over TLS: nobody without the right certificate, on either side.
	cert, key := authority.Issue("docker-watcher")
	strangers := enginetest.NewAuthority(t)
	strangeCert, strangeKey := strangers.Issue("docker-watcher")
	for fault, with := range map[string]client.HostTLS{
		client.FaultRejected:  {CA: authority.PEM, Cert: strangeCert, Key: strangeKey},
		client.FaultUntrusted: {CA: strangers.PEM, Cert: cert, Key: key},
	} {
		_, err := f.admin.CreateHost(ctx, client.NewHost{Name: "far", Endpoint: endpoint, TLS: &with}, false)
		if p, ok := client.AsProblem(err); !ok || p.Code != client.CodeHostUnusable || p.HostReport == nil || p.HostReport.Fault != fault {
			t.Errorf("want %s, got %v", fault, err)
		}
	}
	f.far, err = f.admin.CreateHost(ctx, client.NewHost{Name: "far", Endpoint: endpoint, TLS: &client.HostTLS{CA: authority.PEM, Cert: cert, Key: key}}, false)
	f.must(err)
	if f.far.ReachedBy.Way != "tls" || f.far.ReachedBy.CertExpiresAt.IsZero() || f.far.EngineID == "" {
		t.Errorf("got %+v", f.far)
	}
	_, err = f.admin.CreateProject(ctx, client.NewProject{Name: "shop", Image: image})
	f.must(err)
	here := f.deploy("here", "")
	enginetest.RemoveAfter(t, near, here.ContainerID)
	there := f.deploy("there", "far")
	if here.Host != "local" || there.Host != "far" {
		t.Errorf("they are on %s and %s", here.Host, there.Host)
	}

	// While it hangs the other is watched, and acted on, as ever; what is on it is not judged.
	private.Freeze()
	for range 2 {
		_, err = f.admin.StopInstance(ctx, here.ID)
		f.must(err)
		f.comesTo(here.ID, "stopped")
		enginetest.ForceStart(t, near, here.ContainerID) // by hand: only an event tells of it
		f.comesTo(here.ID, "running")
	}
	if _, err := f.admin.Scan(ctx, here.HostID); err != nil {
		t.Errorf("scan beside a host that hangs: %v", err)
	}
	private.Thaw()

	// It crashes: it could not be asked, so nothing is gone.
	private.Kill()
	runs, err := f.admin.Scan(ctx, f.far.ID)
	if err != nil || len(runs) != 1 || runs[0].Outcome != "blind" {
		t.Errorf("got %+v, %v", runs, err)
	}
	if h := f.host(); h.Reachable || h.Error == "" || f.status(there.ID) != "running" {
		t.Errorf("it is %s; host %+v", f.status(there.ID), h)
	}
	private.Start()
	f.comesTo(there.ID, "stopped") // the engine ends what ran, when it comes back
	if _, err = f.admin.StartInstance(ctx, there.ID); err != nil {
		t.Errorf("start after the crash: %v", err)
	}
	f.comesTo(there.ID, "running")

	// The same engine by ssh: the same host, for its facts are the same.
	at := sshd.Endpoint(private.Endpoint())
	r, err := f.admin.TestHost(ctx, f.far.ID, client.HostChange{Endpoint: &at, SSH: &client.HostSSHChange{Key: &sshd.Key}})
	if err != nil || r.Fault != client.FaultHostKey || r.HostKey != sshd.HostKey {
		t.Fatalf("got %+v, %v", r, err)
	}
	_, err = f.admin.UpdateHost(ctx, f.far.ID, client.HostChange{Endpoint: &at, SSH: &client.HostSSHChange{Key: &sshd.Key, HostKey: &r.HostKey}}, false)
	f.must(err)
	eventually(t, "it is watched over ssh", func() bool { h := f.host(); return h.StreamAgeSeconds > 0 && !h.Frozen && h.ReachedBy.Way == "ssh" })
	_, err = f.admin.StopInstance(ctx, there.ID)
	f.must(err)
	f.comesTo(there.ID, "stopped")

	// The connection is lost in the middle: what was underway could not be asked, and all goes on over a new one.
	sshd.Stop()
	if _, err := f.admin.StartInstance(ctx, there.ID); err == nil || client.HasCode(err, client.CodeNotFound) {
		t.Errorf("without a connection: %v", err)
	}
	if runs, err := f.admin.Scan(ctx, f.far.ID); err != nil || runs[0].Outcome != "blind" || f.status(there.ID) != "stopped" {
		t.Errorf("got %+v, %v; it is %s", runs, err, f.status(there.ID))
	}
	sshd.Start()
	eventually(t, "it can be started", func() bool { _, err := f.admin.StartInstance(ctx, there.ID); return err == nil })
	sshd.Cut()
	eventually(t, "it is watched again", func() bool { return f.host().StreamAgeSeconds > 0 })
	f.comesTo(there.ID, "running")

	// Out of use, and back.
	h, err := f.admin.DisableHost(ctx, f.far.ID)
	if err != nil || h.DisabledSince.IsZero() || h.Reachable {
		t.Errorf("got %+v, %v", h, err)
	}
	if _, err := f.admin.StopInstance(ctx, there.ID); !client.HasCode(err, client.CodeHostDisabled) {
		t.Errorf("stop on a disabled host: %v", err)
	}
	_, err = f.admin.EnableHost(ctx, f.far.ID)
	f.must(err)
	eventually(t, "it is judged again", func() bool {
		l, err := f.admin.Blind(ctx, f.far.ID, time.Time{}, time.Time{})
		f.must(err)
		for _, b := range l.Items {
			if b.Reason == "disabled" {
				return !b.To.IsZero()
			}
		}
		return false
	})

	// It goes when nothing is left of it, and not before.
	if err := f.admin.DeleteHost(ctx, f.far.ID); !client.HasCode(err, client.CodeInUse) || !strings.Contains(err.Error(), "1 instance, 1 stage") {
		t.Errorf("got %v", err)
	}
	f.must(f.admin.RemoveInstance(ctx, there.ID, true))
	archives, err := f.admin.Archives(ctx, client.ArchiveFilter{}, client.Page{})
	f.must(err)
	for _, a := range archives.Items {
		f.must(f.admin.DeleteArchive(ctx, a.ID))
	}
	f.must(f.admin.DeleteStage(ctx, there.StageID))
	f.must(f.admin.DeleteHost(ctx, f.far.ID))
	if hosts, err := f.admin.Hosts(ctx); err != nil || len(hosts) != 1 || hosts[0].Name != "local" {
		t.Errorf("got %+v, %v", hosts, err)
	}
	if f.status(here.ID) != "running" {
		t.Errorf("the other is %s", f.status(here.ID))
	}
	if code := d.end(os.Interrupt); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if log := d.stderr.String(); strings.Contains(log, "PRIVATE KEY") || strings.Contains(log, "panic") {
		t.Errorf("the log tells a key, or a panic:\n%s", log)
	}
}
