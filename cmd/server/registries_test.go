package main

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestTagsOfAPrivateRegistry looks for tags where a login is wanted: without one it could not be asked, with one its word counts.
func TestTagsOfAPrivateRegistry(t *testing.T) {
	login := enginetest.Login{Username: "anna", Password: "s3cret"}
	host := enginetest.PrivateRegistry(t, login)
	image := host + "/acme/shop"
	ref, err := name.ParseReference(image + ":1.0")
	if err != nil {
		t.Fatal(err)
	}
	auth := authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password})
	if err := remote.Write(ref, empty.Image, remote.WithAuth(auth), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t)
	look := tagsOf(registry.New(accessFrom(db)))
	for _, tag := range []string{"1.0", "2.0"} {
		if digest, err := look(t.Context(), image, tag); err == nil || errors.Is(err, stale.ErrTagGone) {
			t.Errorf("%s without a login: %q, %v; want that it could not be asked", tag, digest, err)
		}
	}
	g := store.Registry{ID: store.NewID(), Name: "here", Host: host, Username: login.Username, PlainHTTP: true, Revision: 1}
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRegistry(ctx, g, login.Password) })
	if digest, err := look(t.Context(), image, "1.0"); err != nil || !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("%q, %v", digest, err)
	}
	if digest, err := look(t.Context(), image, "2.0"); !errors.Is(err, stale.ErrTagGone) {
		t.Errorf("%q, %v; want that it is gone", digest, err)
	}
	wrong := "wrong"
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateRegistry(ctx, g, &wrong) })
	if digest, err := look(t.Context(), image, "2.0"); err == nil || errors.Is(err, stale.ErrTagGone) {
		t.Errorf("with a login that is refused: %q, %v", digest, err)
	}
}

// TestALoginIsForItsOwnRegistry sees that a pull brings a password only to the host that it was given for.
func TestALoginIsForItsOwnRegistry(t *testing.T) {
	db := storetest.Open(t)
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(
			tx.InsertRegistry(ctx, store.Registry{ID: store.NewID(), Name: "hub", Host: "docker.io", Username: "anna"}, "of-the-hub"),
			tx.InsertRegistry(ctx, store.Registry{ID: store.NewID(), Name: "own", Host: "own.example:5000", Username: "anna"}, "of-our-own"),
			tx.InsertRegistry(ctx, store.Registry{ID: store.NewID(), Name: "open", Host: "open.example"}, ""))
	})
	login := loginFrom(db)
	for image, want := range map[string]string{
		"shop": "of-the-hub", "acme/shop": "of-the-hub", "docker.io/acme/shop": "of-the-hub", "own.example:5000/shop": "of-our-own",
		"own.example/shop": "", "open.example/shop": "", "ghcr.io/acme/shop": "", "localhost/shop": "", "own.example:5000.evil.example/shop": "",
	} {
		got, err := login(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		text, err := base64.URLEncoding.DecodeString(got)
		if err != nil || (want == "") != (got == "") || !strings.Contains(string(text), want) {
			t.Errorf("%s: %s, %v; want %q", image, text, err, want)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := login(t.Context(), "shop"); err == nil {
		t.Errorf("with the store away: %q, as if there were none", got)
	}
}

// TestASizeIsNotAskedOfTheLastPulls: where a registry counts what it is asked, the last of it is for pulls.
func TestASizeIsNotAskedOfTheLastPulls(t *testing.T) {
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	var left, asked atomic.Int64
	left.Store(spared)
	inner := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Ratelimit-Limit", "100;w=21600")
		w.Header().Set("Ratelimit-Remaining", strconv.FormatInt(left.Load(), 10)+";w=21600")
		asked.Add(1)
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	repository := strings.TrimPrefix(server.URL, "http://") + "/acme/shop"
	ref, err := name.ParseReference(repository + ":1.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	measure := measureBy(registry.New(accessFrom(storetest.Open(t))))
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	on := deploy.Platform{OS: file.OS, Arch: file.Architecture}
	layers, err := measure(t.Context(), repository, "1.0", on)
	if err != nil || len(layers) != 2 || layers[1].Content != file.RootFS.DiffIDs[1].String() || layers[1].Packed < 1000 {
		t.Errorf("%+v, %v", layers, err)
	}
	if layers, err := measure(t.Context(), repository, "1.0", deploy.Platform{OS: "linux", Arch: "s390x"}); err == nil || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("of another platform: %+v, %v", layers, err)
	}
	left.Store(spared - 1)
	if _, err := measure(t.Context(), repository, "1.0", on); err != nil {
		t.Fatal(err)
	}
	before := asked.Load()
	if layers, err := measure(t.Context(), repository, "1.0", on); err == nil || !strings.Contains(err.Error(), "left to the pull") || asked.Load() != before {
		t.Errorf("of the last pulls: %+v, %v after %d more questions", layers, err, asked.Load()-before)
	}
}
