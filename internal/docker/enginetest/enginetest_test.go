package enginetest_test

import (
	"net/http"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

func TestRegistryKeepsThePushedApp(t *testing.T) {
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	addr := enginetest.Registry(t)
	for _, version := range []string{"1.0", "1.1"} {
		if err := enginetest.PushApp(t.Context(), app, addr+"/shop:"+version, version); err != nil {
			t.Fatal(err)
		}
	}
	for tag, want := range map[string]int{"1.0": http.StatusOK, "1.1": http.StatusOK, "2.0": http.StatusNotFound} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+addr+"/v2/shop/manifests/"+tag, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != want {
			t.Errorf("tag %s: %s, want %d", tag, resp.Status, want)
		}
	}
}
