// Package peertest has programs of others' code answer in tests. They stand in modules of their own below tools/, so that nothing of them is among
// the parts of docker-watcher.
package peertest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Build builds a command of a module below tools/, for a test of a package below internal/, and returns its path.
func Build(t testing.TB, module, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peer")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute) // the first time it fetches hundreds of MB
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join("../../tools", module), "-trimpath", "-ldflags", "-s -w", "-o", path, command)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as others are built by tests, so that little is built again
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return path
}

// Ask has a program answer questions, which it reads as one array of JSON and answers in the same order.
func Ask[Q, A any](t testing.TB, program string, questions []Q) []A {
	t.Helper()
	text, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, program)
	run.Stdin = bytes.NewReader(text)
	var said bytes.Buffer
	run.Stderr = &said
	text, err = run.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var answers []A
	if err := json.Unmarshal(text, &answers); err != nil || len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions: %v", len(answers), len(questions), err)
	}
	return answers
}
