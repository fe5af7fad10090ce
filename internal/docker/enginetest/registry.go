package enginetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	registryStart = 15 * time.Second
	registryStop  = 5 * time.Second
)

// Registry is the address of a real registry on 127.0.0.1 that lives as long as the test.
func Registry(t testing.TB) string {
	t.Helper()
	addr, stop, err := StartRegistry(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return addr
}

// StartRegistry runs Debian's docker-registry on a free port with its data in dir. Engines take a registry
// on 127.0.0.1 without TLS. stop ends it and waits.
func StartRegistry(ctx context.Context, dir string) (addr string, stop func(), err error) {
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		return "", nil, fmt.Errorf("start a registry (apt-get install docker-registry, or scripts/engine run): %w", err)
	}
	if addr, err = freeAddress(ctx); err != nil {
		return "", nil, fmt.Errorf("start a registry: %w", err)
	}
	config := filepath.Join(dir, "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp: {addr: %q}\n",
		filepath.Join(dir, "registry"), addr)
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

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
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
