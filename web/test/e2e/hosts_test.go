package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestHostsInABrowser runs every flow of hosts.test.mjs: a daemon on a pretend engine, a real one that it reaches over TLS and
// by ssh, and a pretend one whose identity and clock the flows turn by a small server of this test.
func TestHostsInABrowser(t *testing.T) {
	authority, strangers := enginetest.NewAuthority(t), enginetest.NewAuthority(t)
	endpoint, flags := authority.TLSFlags()
	cert, key := authority.Issue("docker-watcher")
	far, sshd := enginetest.StartPrivate(t, flags...), enginetest.StartSSHD(t)
	third := dockertest.Serve(t, dockertest.Options{EngineID: "FIRST", Name: "third"})
	turn := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		third.SetEngineID(r.FormValue("engine"))
		if offset, err := time.ParseDuration(r.FormValue("clock")); err == nil {
			third.SetClock(offset)
		}
	}))
	t.Cleanup(turn.Close)

	dir := t.TempDir()
	addr, link := serve(t, filepath.Join(dir, "data"), dockertest.Serve(t, dockertest.Docker28()).Endpoint())
	at, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	tell(t, "hosts.test.mjs",
		"BASE_URL="+addr, "SETUP_LINK="+link, "TURN="+turn.URL, "THIRD="+third.Endpoint(),
		"TLS_PORT="+at.Port(), "CA="+authority.PEM, "OTHER_CA="+strangers.PEM, "CERT="+cert, "KEY="+key,
		"SSH_USER="+sshd.User, "SSH_PORT="+sshd.Addr[strings.LastIndex(sshd.Addr, ":")+1:], "SSH_KEY="+sshd.Key, "SSH_SOCKET="+strings.TrimPrefix(far.Endpoint(), "unix://"))
}
