package enginetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

const (
	registryStart = time.Minute
	registryStop  = 5 * time.Second
)

// Registry is the address of a real registry on 127.0.0.1 that lives as long as the test.
func Registry(t testing.TB) string {
	t.Helper()
	return registryOf(t, StartRegistry)
}

// PrivateRegistry is one that gives nothing to whoever does not log in.
func PrivateRegistry(t testing.TB, login Login) string {
	t.Helper()
	return registryOf(t, func(ctx context.Context, dir string) (string, func(), error) {
		return StartPrivateRegistry(ctx, dir, login)
	})
}

// TokenRegistry is one that takes the tokens of a server of the test's own, whose certificate is in a file.
func TokenRegistry(t testing.TB, realm, service, issuer, certificate string) string {
	t.Helper()
	auth := fmt.Sprintf("auth:\n  token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %q}\n", realm, service, issuer, certificate)
	return registryOf(t, func(ctx context.Context, dir string) (string, func(), error) { return startRegistry(ctx, dir, auth) })
}

func registryOf(t testing.TB, start func(context.Context, string) (string, func(), error)) string {
	t.Helper()
	addr, stop, err := start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return addr
}

// Login is a user of a registry.
type Login struct{ Username, Password string }

// StartPrivateRegistry runs one as StartRegistry does that wants a login.
func StartPrivateRegistry(ctx context.Context, dir string, login Login) (addr string, stop func(), err error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(login.Password), bcrypt.MinCost)
	if err != nil {
		return "", nil, fmt.Errorf("start a registry: %w", err)
	}
	users := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(users, []byte(login.Username+":"+string(hash)+"\n"), 0o600); err != nil {
		return "", nil, fmt.Errorf("start a registry: %w", err)
	}
	return startRegistry(ctx, dir, fmt.Sprintf("auth:\n  htpasswd: {realm: test, path: %q}\n", users))
}

// StartRegistry runs Debian's docker-registry on a free port with its data in dir. Engines take a registry
// on 127.0.0.1 without TLS. stop ends it and waits.
func StartRegistry(ctx context.Context, dir string) (addr string, stop func(), err error) {
	return startRegistry(ctx, dir, "")
}

func startRegistry(ctx context.Context, dir, auth string) (addr string, stop func(), err error) {
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		return "", nil, fmt.Errorf("start a registry (apt-get install docker-registry, or scripts/engine run): %w", err)
	}
	if addr, err = loopbacktest.Pick(ctx); err != nil {
		return "", nil, fmt.Errorf("start a registry: %w", err)
	}
	config := filepath.Join(dir, "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp: {addr: %q}\n",
		filepath.Join(dir, "registry"), addr) + auth
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", nil, fmt.Errorf("start a registry: %w", err)
	}
	// Not of ctx: a registry ends by stop, after the tests that use it.
	cmd := exec.Command(binary, "serve", config) //nolint:noctx // see above
	cmd.SysProcAttr = leash()
	output, err := os.Create(filepath.Join(dir, "registry.log"))
	if err != nil {
		return "", nil, fmt.Errorf("start a registry: %w", err)
	}
	cmd.Stdout, cmd.Stderr = output, output
	err = cmd.Start()
	if closed := output.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", nil, fmt.Errorf("start a registry: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is ended by a signal: the state says nothing new
		close(ended)
	}()
	stop = func() { end(cmd.Process, ended) }
	if err := awaitRegistry(ctx, addr, ended); err != nil {
		stop()
		said, readErr := os.ReadFile(output.Name())
		return "", nil, fmt.Errorf("start a registry: %w: %s", errors.Join(err, readErr), said)
	}
	return addr, stop, nil
}

func end(p *os.Process, ended <-chan struct{}) {
	_ = p.Signal(os.Interrupt) // it may have ended already
	select {
	case <-ended:
	case <-time.After(registryStop):
		_ = p.Kill()
		<-ended
	}
}

func awaitRegistry(ctx context.Context, addr string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, registryStart)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v2/", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		const pause = 20 * time.Millisecond
		select {
		case <-ctx.Done():
			return err
		case <-ended:
			return errors.New("it ended at once")
		case <-time.After(pause):
		}
	}
}
