package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"
)

// asBrowser is a variable of the environment with the path of a browser that this program is to become.
const asBrowser = "DOCKER_WATCHER_TEST_AS_BROWSER"

// Of linux/prctl.h and linux/seccomp.h.
const (
	prSetSeccomp    = 22
	prSetNoNewPrivs = 38
	seccompFilter   = 2
	seccompAllow    = 0x7fff0000
	seccompErrno    = 0x00050000
)

// becomeBrowser is the browser from here on, which does not hear from the system when an address of this machine comes or goes. That happens with each
// container that others start or end meanwhile, and Chromium gives up whatever waits for a connection then (net::ERR_NETWORK_CHANGED): a page
// that misses a part of itself stays empty. Without netlink it takes the network as it is.
func becomeBrowser(path string) error {
	runtime.LockOSThread() // the filter is of a thread
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: 0}, // the number of the call
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: syscall.SYS_SOCKET, Jf: 3},
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: 16}, // its first argument
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: syscall.AF_NETLINK, Jf: 1},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: seccompErrno | uint32(syscall.EAFNOSUPPORT)},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: seccompAllow},
	}
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); err != 0 {
		return fmt.Errorf("give up new powers: %w", err)
	}
	if _, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetSeccomp, seccompFilter, uintptr(unsafe.Pointer(&program)), 0, 0, 0); err != 0 {
		return fmt.Errorf("filter the system's calls: %w", err)
	}
	return fmt.Errorf("become %s: %w", path, syscall.Exec(path, append([]string{path}, os.Args[1:]...), os.Environ()))
}

// TestABrowserHearsOfNoChange: what runs as a browser does cannot ask the system for its addresses, and is served as ever.
func TestABrowserHearsOfNoChange(t *testing.T) {
	const script = `
		let addresses = 'known';
		try { require('node:os').networkInterfaces(); } catch { addresses = 'unknown'; }
		const server = require('node:http').createServer((_, answer) => answer.end('served, addresses ' + addresses));
		server.listen(0, '127.0.0.1', async () => {
			console.log(await (await fetch('http://127.0.0.1:' + server.address().port)).text());
			process.exit(0);
		});`
	me, errMe := os.Executable()
	path, errNode := exec.LookPath("node")
	if err := errors.Join(errMe, errNode); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{path: "served, addresses known\n", me: "served, addresses unknown\n"} {
		var out bytes.Buffer
		if err := run(t.Context(), &out, program, []string{"-e", script}, asBrowser+"="+path); err != nil || out.String() != want {
			t.Errorf("%s says %q, %v", program, out.String(), err)
		}
	}
}
