package enginetest

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// WriteFile puts a file into a container, wherever its path leads: the writable layer or a volume. The container need
// not run.
func WriteFile(t testing.TB, e *docker.Engine, id, name, text string) {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := errors.Join(
		w.WriteHeader(&tar.Header{Name: path.Base(name), Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}),
		second(io.WriteString(w, text)),
		w.Close(),
	); err != nil {
		t.Fatal(err)
	}
	to := "/containers/" + id + "/archive?path=" + url.QueryEscape(path.Dir(name))
	if _, err := rawAnswer(t.Context(), e, http.MethodPut, to, &archive); err != nil {
		t.Fatalf("write %s: %v", name, err)
	}
}

// ReadFile is what WriteFile or the container itself wrote; ok is false when there is no such file.
func ReadFile(t testing.TB, e *docker.Engine, id, name string) (text string, ok bool) {
	t.Helper()
	body, err := rawAnswer(t.Context(), e, http.MethodGet, "/containers/"+id+"/archive?path="+url.QueryEscape(name), nil, http.StatusNotFound)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	if body == nil {
		return "", false
	}
	r := tar.NewReader(bytes.NewReader(body))
	if _, err := r.Next(); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return string(got), true
}

func second(_ int, err error) error { return err }

// RemoveImageAfter takes an image away when the test ends, whoever uses it and however it is called.
func RemoveImageAfter(t testing.TB, e *docker.Engine, ref string) {
	t.Helper()
	removeAfter(t, e, "/images/"+ref+"?force=1")
}

// RemoveVolumeAfter takes a volume away when the test ends, a named one too.
func RemoveVolumeAfter(t testing.TB, e *docker.Engine, name string) {
	t.Helper()
	removeAfter(t, e, "/volumes/"+name+"?force=1")
}

// Network makes a plain bridge, which goes when the test ends. Its addresses are 256 that begin with prefix, picked at
// random, for the engines of all runs on a machine share its routes.
func Network(t testing.TB, e *docker.Engine) (name, prefix string) {
	t.Helper()
	name = Name(t)
	var picked [2]byte
	_, _ = rand.Read(picked[:]) // it never fails
	prefix = fmt.Sprintf("10.%d.%d.", 128+picked[0]%64, picked[1])
	body := fmt.Sprintf(`{"Name":%q,"Driver":"bridge","IPAM":{"Config":[{"Subnet":"%s0/24"}]}}`, name, prefix)
	if _, err := rawAnswer(t.Context(), e, http.MethodPost, "/networks/create", bytes.NewReader([]byte(body))); err != nil {
		t.Fatal(err)
	}
	RemoveNetworkAfter(t, e, name)
	return name, prefix
}

// RemoveNetworkAfter takes a network away when the test ends.
func RemoveNetworkAfter(t testing.TB, e *docker.Engine, name string) {
	t.Helper()
	removeAfter(t, e, "/networks/"+name)
}
