//go:build unix

package enginetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

const (
	sshdStart = time.Minute
	// sshdFolder must be there for an sshd of root; where no service of it ever ran, it is not.
	sshdFolder = "/run/sshd"
	// restriction is what docs/hosts.md recommends: the key opens sockets and nothing else.
	restriction = `restrict,port-forwarding,command="/bin/false" `
)

// SSHD is a real ssh server on a free port of 127.0.0.1, which lets in whoever runs the test by one key.
type SSHD struct {
	t       testing.TB
	dir     string
	cmd     *exec.Cmd
	ended   chan struct{}
	Addr    string
	User    string
	Key     string // private, of who is let in
	HostKey string // public, a line
}

// StartSSHD runs Debian's sshd until the test ends, with a host key and a certificate of it. Lines are more of its configuration.
func StartSSHD(t testing.TB, lines ...string) *SSHD {
	t.Helper()
	addr := loopbacktest.Free(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &SSHD{t: t, dir: t.TempDir(), Addr: addr, User: me.Username}
	var authorized string
	s.Key, authorized = SSHKey(t, "")
	s.write("authorized_keys", restriction+authorized)
	hostKey, public := SSHKey(t, "")
	s.write("host_key", hostKey)
	s.HostKey = strings.TrimSpace(public)
	s.write("host_key-cert.pub", certificate(t, public))
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	s.write("config", strings.Join(append(lines,
		"ListenAddress 127.0.0.1", "Port "+port, "HostKey "+filepath.Join(s.dir, "host_key"),
		"HostCertificate "+filepath.Join(s.dir, "host_key-cert.pub"),
		"AuthorizedKeysFile "+filepath.Join(s.dir, "authorized_keys"), "PidFile none", "UsePAM no", "StrictModes no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password", "AllowStreamLocalForwarding yes",
	), "\n")+"\n")
	if err := os.Mkdir(sshdFolder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

func (s *SSHD) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Endpoint leads through it to a socket.
func (s *SSHD) Endpoint(socket string) string {
	return "ssh://" + s.User + "@" + s.Addr + strings.TrimPrefix(socket, "unix://")
}

// Authorize lets in who has the private half of one more key.
func (s *SSHD) Authorize(public string) {
	s.t.Helper()
	file := filepath.Join(s.dir, "authorized_keys")
	known, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("authorized_keys", string(known)+restriction+public)
}

// Start runs it (again), with the same keys and on the same port.
func (s *SSHD) Start() {
	s.t.Helper()
	binary, err := exec.LookPath("sshd")
	if err != nil {
		binary = "/usr/sbin/sshd" // not everybody has that folder in PATH; sshd wants to be called by its path
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(binary, "-D", "-e", "-f", filepath.Join(s.dir, "config")) //nolint:noctx // Stop ends it
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.SysProcAttr = log, log, leash()
	err = s.cmd.Start()
	if closed := log.Close(); err == nil {
		err = closed
	}
	if err != nil {
		s.t.Fatalf("start an ssh server (apt-get install openssh-server, or scripts/engine run): %v", err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // it is ended by a signal: the state says nothing new
		close(ended)
	}(s.cmd, s.ended)
	s.await()
}

func (s *SSHD) await() {
	s.t.Helper()
	deadline, tick := time.After(sshdStart), time.NewTicker(privateLook)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.Addr)
		if err == nil {
			_ = conn.Close() // it was only to see that somebody listens
			return
		}
		select {
		case <-tick.C:
			continue
		case <-s.ended:
		case <-deadline:
		}
		said, readErr := os.ReadFile(filepath.Join(s.dir, "log"))
		s.t.Fatalf("no ssh server: %v: %s", errors.Join(err, readErr), said)
	}
}

// Stop ends it with all its connections.
func (s *SSHD) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGSTOP) // so that none comes to be meanwhile, for somebody who connects anew
	children := s.children()
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with it
	}
}

// Cut breaks all its connections; new ones can be made.
func (s *SSHD) Cut() {
	for _, pid := range s.children() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}

// Freeze stops its connections in the middle of whatever they carry: they stay, and nothing moves. Thaw lets them go on.
func (s *SSHD) Freeze() { s.signalAll(syscall.SIGSTOP) }

// Thaw is the end of Freeze.
func (s *SSHD) Thaw() { s.signalAll(syscall.SIGCONT) }

func (s *SSHD) signalAll(sig syscall.Signal) {
	for _, pid := range append(s.children(), s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, sig) // it may have ended
	}
}

// children are the processes of its connections, and theirs.
func (s *SSHD) children() []int {
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		s.t.Error(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, parent := 0, 0
		_, after, _ := strings.Cut(string(text), ") ")
		if _, err := fmt.Sscanf(after, "%s %d", new(string), &parent); err != nil {
			continue
		}
		if pid, err = strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
			parents[pid] = parent
		}
	}
	var found []int
	for pid := range parents {
		for up := parents[pid]; up > 1; up = parents[up] {
			if up == s.cmd.Process.Pid {
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

// certificate of a host key, by an authority that nobody knows: many servers have one beside their key.
func certificate(t testing.TB, public string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil {
		t.Fatal(err)
	}
	private, _ := SSHKey(t, "")
	authority, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: key, CertType: ssh.HostCert, KeyId: "host", ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(cert))
}

// SSHKey makes a key pair: private as ssh-keygen writes it (encrypted, with a passphrase), and public as a line.
func SSHKey(t testing.TB, passphrase string) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(line))
}
