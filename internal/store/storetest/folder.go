package storetest

import (
	"os"
	"sync"
	"testing"
)

var folders struct {
	sync.Mutex
	urls map[string]string
}

// URL is where the store of a daemon with this data folder is, for tests that do not care: empty, a file in the folder, or what the
// environment names as for Open; the same one for the same folder, until the test ends.
func URL(t testing.TB, dataDir string) string {
	t.Helper()
	if os.Getenv(kindEnv) != "postgres" {
		return ""
	}
	folders.Lock()
	defer folders.Unlock()
	if url, ok := folders.urls[dataDir]; ok {
		return url
	}
	if folders.urls == nil {
		folders.urls = map[string]string{}
	}
	url := Postgres(t)
	folders.urls[dataDir] = url
	t.Cleanup(func() {
		folders.Lock()
		defer folders.Unlock()
		delete(folders.urls, dataDir)
	})
	return url
}
