package docker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// abilities are where engines truly differ. Everything else is asked of all of them alike.
type abilities struct {
	showsRestarting bool          // a crash loop is "restarting" between two runs
	guardsCrashLoop bool          // a crash loop cannot be removed between two runs either
	keepsStartError bool          // a failed start leaves its exit code and its reason
	healthMoves     bool          // health checks run
	tellsSignals    bool          // kill and stop events beside die
	refusesNames    bool          // a bad name is "invalid", not an error of the engine
	hasID           bool          // it has an id of its own that stays
	startLag        time.Duration // it may write the start down so much later, even after the end of a short run
	ownNames        bool          // an image is called as it was asked for, not localhost/...
	tellsImageCheck bool          // an image inspect shows a HEALTHCHECK (a container's inspect does everywhere)
	tellsShared     bool          // what images share is known
	tellsFixedIP    bool          // an inspect shows an address that was asked for
	sharesIPC       bool          // it heeds the wish for the host's IPC
	changesRestart  bool          // it can give a container another restart policy
}

var (
	dockerAbilities = abilities{
		showsRestarting: true, guardsCrashLoop: true, keepsStartError: true, healthMoves: true, tellsSignals: true, refusesNames: true, hasID: true, ownNames: true, tellsImageCheck: true,
		tellsShared: true, tellsFixedIP: true, sharesIPC: true, changesRestart: true,
		startLag: 100 * time.Millisecond, // half of one was seen, on a machine with much to do
	}
	podmanAbilities = abilities{startLag: time.Second}
)

// subject is an engine under the contract, seen through the adapter.
type subject struct {
	abilities
	*docker.Engine
	pretend *dockertest.Engine // nil for a real one
	wire    *wire
	side    *docker.Engine // the same on its own socket, for what the adapter has no words for
	raw     *http.Client   // and past the adapter
	app     string         // where the test app was built
	image   string         // the test app's image
	checked string         // the same with a HEALTHCHECK
}

const (
	installation = "contract"
	instance     = "one"
	patience     = time.Minute
)

// TestContract holds the adapter against every engine that there is: pretended ones of each make, so that they
// cannot lie, and real ones.
func TestContract(t *testing.T) {
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { asked.wantInTheTable(t) })
	pretended := map[string]dockertest.Options{
		"pretend docker 20.10": dockertest.Docker20(), "pretend docker 28": dockertest.Docker28(),
		"pretend docker 29": dockertest.Docker29(), "pretend docker newest": dockertest.DockerNewest(),
		"pretend podman 4.3": dockertest.Podman43(), "pretend podman 5.4": dockertest.Podman54(),
	}
	for name, options := range pretended {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			e := dockertest.Serve(t, options)
			s := newSubject(t, e.Endpoint(), app)
			s.pretend = e
			s.obey(t)
		})
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		newSubject(t, enginetest.Endpoint(t), app).obey(t)
	})
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		newSubject(t, enginetest.PodmanEndpoint(t), app).obey(t)
	})
	for name, endpoint := range extraEngines(t) {
		t.Run(name, func(t *testing.T) { newSubject(t, endpoint, app).obey(t) })
	}
}

// extraEngines are more real ones, as "name=unix:///path" with spaces between.
func extraEngines(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for one := range strings.FieldsSeq(os.Getenv("DOCKER_WATCHER_TEST_ENGINES_EXTRA")) {
		name, endpoint, ok := strings.Cut(one, "=")
		if !ok {
			t.Fatalf("DOCKER_WATCHER_TEST_ENGINES_EXTRA: %q is not name=endpoint", one)
		}
		found[name] = endpoint
	}
	return found
}

func newSubject(t *testing.T, endpoint, app string) *subject {
	t.Helper()
	return subjectBy(t, docker.Options{Endpoint: endpoint}, endpoint, app)
}

// subjectBy reaches an engine by any way; past the adapter it is asked on its own socket.
func subjectBy(t *testing.T, way docker.Options, socket, app string) *subject {
	t.Helper()
	s := &subject{wire: &wire{}, app: app, image: "dwt/app:1.0", checked: "dwt/checked:1.0"}
	way.Dial = asked.listen(s.wire.dial)
	e, err := docker.New(way)
	if err != nil {
		t.Fatal(err)
	}
	s.Engine = e
	if s.side, err = docker.New(docker.Options{Endpoint: socket}); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.wire.dial(ctx, "unix", strings.TrimPrefix(socket, "unix://"))
	}}
	s.raw = &http.Client{Transport: transport, Timeout: patience}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := errors.Join(e.Close(), s.side.Close()); err != nil {
			t.Error(err)
		}
	})
	info, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("version %s, API %s, storage %s", info.Version, info.APIVersion, info.StorageDriver)
	s.abilities = dockerAbilities
	if s.isPodman(t) {
		s.abilities = podmanAbilities
	}
	s.load(t, app, s.image, enginetest.WithVolume("/data"))
	s.load(t, app, s.checked, enginetest.WithHealthcheck(time.Second))
	return s
}

func (s *subject) load(t *testing.T, app, ref string, options ...enginetest.ImageOption) {
	t.Helper()
	archive, err := enginetest.AppArchive(app, ref, "1.0", options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
}

func (s *subject) isPodman(t *testing.T) bool {
	t.Helper()
	var version struct{ Components []struct{ Name string } }
	s.get(t, "/version", &version)
	return len(version.Components) > 0 && strings.Contains(version.Components[0].Name, "Podman")
}

// clause is one sentence of the contract.
type clause struct {
	name string
	test func(*testing.T, *subject)
}

// obey runs the whole contract.
func (s *subject) obey(t *testing.T) {
	s.obeyAll(t, []clause{
		{"an engine tells who it is", tellsWhoItIs},
		{"created", created},
		{"running", running},
		{"ports and volumes", portsAndVolumes},
		{"stopped", stopped},
		{"a stop that the process ignores", stopIgnored},
		{"exited by itself", exitedByItself},
		{"started again", startedAgain},
		{"paused", paused},
		{"crash loop", crashLoop},
		{"on-failure is used up", onFailureUsedUp},
		{"a start that fails", failedStart},
		{"restart", restart},
		{"another restart policy", anotherRestart},
		{"remove", remove},
		{"removed by many at once", removedByMany},
		{"volumes stay", volumesStay},
		{"what is not there", notThere},
		{"what cannot be created", cannotCreate},
		{"what is not ours", notOurs},
		{"list filters", listFilters},
		{"size", size},
		{"health", health},
		{"log of both streams", logOfBothStreams},
		{"log followed", logFollowed},
		{"stats", stats},
		{"images", images},
		{"pull", pull},
		{"names of an image", imageNames},
		{"an image removed by its id", imageByID},
		{"list of images", imageList},
		{"changed files", changes},
		{"a layer kept as an image", commit},
		{"made again", recreate},
		{"made again elsewhere", recreateElsewhere},
		{"made again plainly", recreatePlain},
		{"made as asked", madeAsAsked},
		{"with power over the host", powerful},
		{"a network that is not there", lostNetwork},
		{"networks", networks},
		{"volumes", volumes},
		{"tail of the log", logTail},
		{"published ports", publishedPorts},
		{"how it was made", howMade},
		{"how all of it was made", howAllWasMade},
		{"a leftover of ours", leftover},
		{"events", eventsInOrder},
		{"events after a break", eventsAfterABreak},
		{"what only a pretended engine shows on demand", onDemand},
	})
}

func (s *subject) obeyAll(t *testing.T, clauses []clause) {
	for _, c := range clauses {
		t.Run(c.name, func(t *testing.T) { c.test(t, s) })
	}
}

// TestContractByOtherWays holds real engines against what depends on the way to them: short and long answers, uploads, streams,
// a connection that breaks.
func TestContractByOtherWays(t *testing.T) {
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	depend := []clause{ // each test takes its time; these are the ones on which the way tells
		{"an engine tells who it is", tellsWhoItIs},
		{"what is not there", notThere},
		{"list filters", listFilters},
		{"log followed", logFollowed},
		{"events after a break", eventsAfterABreak},
	}
	t.Run("docker over TLS", func(t *testing.T) {
		t.Parallel()
		authority := enginetest.NewAuthority(t)
		at, flags := authority.TLSFlags()
		engine := enginetest.StartPrivate(t, flags...)
		cert, key := authority.Issue("client")
		way := docker.Options{Endpoint: at, TLS: &docker.TLS{CA: authority.PEM, Cert: cert, Key: key}}
		subjectBy(t, way, engine.Endpoint(), app).obeyAll(t, depend)
	})
	t.Run("docker over ssh", func(t *testing.T) {
		t.Parallel()
		at := enginetest.Endpoint(t)
		sshd := enginetest.StartSSHD(t)
		way := docker.Options{Endpoint: sshd.Endpoint(at), SSH: &docker.SSH{Key: sshd.Key, HostKey: sshd.HostKey}}
		subjectBy(t, way, at, app).obeyAll(t, depend)
	})
}

// wire is the way to an engine; it can be cut.
type wire struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	return c, nil
}

// cut breaks every connection.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close() // many are closed already
	}
	w.conns = nil
}

// Plain requests.

func (s *subject) request(t *testing.T, method, path string, body any) (status int, answer []byte) {
	t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	// Also asked when a test cleans up after itself; the client has a timeout.
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, "http://engine"+path, in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.raw.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func (s *subject) get(t *testing.T, path string, into any) {
	t.Helper()
	status, answer := s.request(t, http.MethodGet, path, nil)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
}

// removeBy takes a container away that the adapter would refuse to touch.
func (s *subject) removeBy(t *testing.T, id string) {
	t.Helper()
	if status, answer := s.request(t, http.MethodDelete, "/containers/"+id+"?force=1&v=1", nil); status >= 300 {
		t.Errorf("clean up: %d %s", status, answer)
	}
}

// Short ways.

func labels() map[string]string {
	return map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: installation, docker.LabelInstance: instance}
}

func own(id string) docker.Owned {
	return docker.Owned{ID: id, Installation: installation, Instance: instance}
}

// create makes a container that is taken away at the end.
func (s *subject) create(t *testing.T, change ...func(*docker.CreateOptions)) string {
	t.Helper()
	o := docker.CreateOptions{Name: enginetest.Name(t), Image: s.image, Labels: labels()}
	for _, c := range change {
		c(&o)
	}
	id, err := s.Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, s.side, id)
	return id
}

// run also starts it.
func (s *subject) run(t *testing.T, change ...func(*docker.CreateOptions)) string {
	t.Helper()
	id := s.create(t, change...)
	if err := s.Start(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	return id
}

func env(kv ...string) func(*docker.CreateOptions) {
	return func(o *docker.CreateOptions) { o.Env = append(o.Env, kv...) }
}

func policy(p string) func(*docker.CreateOptions) {
	return func(o *docker.CreateOptions) { o.Restart = p }
}

func (s *subject) inspect(t *testing.T, id string) docker.Container {
	t.Helper()
	c, err := s.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// await inspects until the container is as wanted.
func (s *subject) await(t *testing.T, id, what string, as func(docker.Container) bool) docker.Container {
	t.Helper()
	var last docker.Container
	eventually(t, what, func() bool {
		last = s.inspect(t, id)
		return as(last)
	})
	return last
}

func inState(want docker.State) func(docker.Container) bool {
	return func(c docker.Container) bool { return c.State == want }
}

// listed is the row of a container among those asked for; ok is false when there is none.
func (s *subject) listed(t *testing.T, id string, o docker.ListOptions) (row docker.Summary, ok bool) {
	t.Helper()
	rows, err := s.List(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.ID == id {
			return row, true
		}
	}
	return docker.Summary{}, false
}

// eventually asks until the answer is yes, or the patience is over.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	waittest.Until(t, what, 20*time.Millisecond, yes)
}
