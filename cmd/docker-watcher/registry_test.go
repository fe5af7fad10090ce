package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// registry: a real one, in memory, begins to listen at REGISTRY.
func cmdRegistry(ts *testscript.TestScript, _ *world, _ []string) {
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	ts.Defer(srv.Close)
	ts.Setenv("REGISTRY", strings.TrimPrefix(srv.URL, "http://"))
}

// push NAME:TAG...: images, made a moment ago, come into the registry.
func cmdPush(ts *testscript.TestScript, w *world, args []string) {
	for _, a := range args {
		ref, err := name.ParseReference(ts.Getenv("REGISTRY") + "/" + a)
		ts.Check(err)
		img, err := random.Image(64, 1)
		ts.Check(err)
		img, err = mutate.CreatedAt(img, v1.Time{Time: time.Now()})
		ts.Check(err)
		ts.Check(remote.Write(ref, img))
		digest, err := img.Digest()
		ts.Check(err)
		w.knows(ref.String(), digest.String())
	}
}

// tells REPOSITORY STATUS: the webhook that "registry hook make" wrote to the file hook is told of a push, and answers so.
func cmdTells(ts *testscript.TestScript, _ *world, args []string) {
	_, at, _ := strings.Cut(ts.ReadFile("hook"), "both ")
	resp, err := http.Post(strings.TrimSpace(at), "application/json", strings.NewReader(`{"repository":"`+args[0]+`"}`))
	ts.Check(err)
	ts.Check(resp.Body.Close())
	if got := strconv.Itoa(resp.StatusCode); got != args[1] {
		ts.Fatalf("answered %s, want %s", got, args[1])
	}
}
