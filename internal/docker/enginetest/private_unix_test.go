//go:build unix

package enginetest_test

import (
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

func TestPrivateEngine(t *testing.T) {
	p := enginetest.StartPrivate(t, "--live-restore")
	if !p.Answers() {
		t.Fatal("it does not answer")
	}
	p.Freeze()
	if p.Answers() {
		t.Error("it answers although it is frozen")
	}
	p.Thaw()
	if !p.Answers() {
		t.Error("it does not answer after it was thawed")
	}
	p.Kill()
	if p.Answers() {
		t.Error("it answers although it was killed")
	}
	p.Start()
}
