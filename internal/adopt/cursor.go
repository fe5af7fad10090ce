package adopt

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// key is where a container stands in the list: by host, then by compose project (those without one last), service, name and
// id. A page goes on behind a key, whatever came or went meanwhile.
type key [5]string

func keyOf(f Foreign) key {
	group := "1"
	if f.Compose != "" {
		group = "0" + f.Compose
	}
	return key{f.Host.Name, group, f.Service, f.Name, f.ID}
}

func (k key) compare(other key) int { return slices.Compare(k[:], other[:]) }

const longestCursor = 2048

// String is the opaque text of it.
func (k key) String() string {
	text, err := json.Marshal(k)
	if err != nil { // texts always have a JSON form
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseKey reads it; the empty text is the start.
func parseKey(text string) (key, error) {
	var k []string
	if text == "" {
		return key{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(text) <= longestCursor {
		err = json.Unmarshal(raw, &k)
	}
	if err != nil || len(k) != len(key{}) {
		return key{}, fmt.Errorf("%w: not one of this list", store.ErrBadCursor)
	}
	return key(k), nil
}

func sortByKey(all []Foreign) {
	slices.SortFunc(all, func(a, b Foreign) int { return keyOf(a).compare(keyOf(b)) })
}
