//go:build bench

package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// counted is a registry on the wire that marks its answers and counts what it is asked.
type counted struct {
	list               string
	lists, heads, same atomic.Int64
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mark, body := "", "{}"
	switch {
	case strings.HasSuffix(r.URL.Path, "/tags/list"):
		c.lists.Add(1)
		mark, body = `"`+r.URL.Path+`"`, c.list
	case strings.Contains(r.URL.Path, "/manifests/"):
		c.heads.Add(1)
		digest := fmt.Sprintf("sha256:%064x", len(r.URL.Path))
		mark = `"` + digest + `"`
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Content-Length", "2")
	}
	w.Header().Set("Etag", mark)
	if mark != "" && r.Header.Get("If-None-Match") == mark {
		c.same.Add(1)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write([]byte(body))
}

// asked is how the daemon asks registries.
type asked struct{ *registry.Registries }

func (asked) Created(context.Context, string, string) (time.Time, error) { return time.Now(), nil }

// A thousand stages over twenty repositories of 500 tags each: one list a repository, a HEAD a stage at the most, of which all
// that has not changed comes without a body. The worst round counts.
func TestPollOfAThousandStages(t *testing.T) {
	db := storetest.With(t, store.Options{DataDir: t.TempDir()})
	var tags []string
	for n := range 500 {
		tags = append(tags, fmt.Sprintf("%q", fmt.Sprintf("s%d-1.%d.0", n%50, n/50)))
	}
	answers := &counted{list: `{"name":"app","tags":[` + strings.Join(tags, ",") + `]}`}
	server := httptest.NewServer(answers)
	t.Cleanup(server.Close)
	host := storetest.Host(t, db)
	must(t, db.Update(t.Context(), func(tx *store.Tx) error {
		for r := range 20 {
			p := store.Project{ID: store.NewID(), Name: fmt.Sprintf("p%d", r), Image: fmt.Sprintf("%s/app%d", strings.TrimPrefix(server.URL, "http://"), r)}
			if err := tx.InsertProject(t.Context(), p); err != nil {
				return err
			}
			for n := range 50 {
				if err := tx.InsertStage(t.Context(), store.Stage{
					ID: store.NewID(), ProjectID: p.ID, HostID: host.ID, Name: fmt.Sprintf("s%d", n), Kind: store.StageDev, Mode: store.ModeManual,
					TagRule: &tagrule.Rule{Kind: tagrule.Moving, Pattern: fmt.Sprintf("s%d-1.9.0", n)},
				}); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	registries := registry.New(func(context.Context, string) (registry.Access, error) { return registry.Access{}, nil })
	poller := poll.New(db, poll.NewLooker(asked{registries}), func(context.Context, string, string, string) error { return nil }, quiet)
	const rounds = 5
	var takes []time.Duration
	var lists, heads int64
	for range rounds {
		must(t, db.Update(t.Context(), func(tx *store.Tx) error {
			polls, err := tx.StagePolls(t.Context())
			for id := range polls {
				if err == nil {
					err = tx.PollAtOnce(t.Context(), id)
				}
			}
			return err
		}))
		answers.lists.Store(0)
		answers.heads.Store(0)
		answers.same.Store(0)
		begin := time.Now()
		must(t, poller.Round(t.Context()))
		takes = append(takes, time.Since(begin))
		lists, heads = max(lists, answers.lists.Load()), max(heads, answers.heads.Load())
	}
	most(t, "lists of tags in a poll of 1,000 stages over 20 repositories, counted by the registry", int(lists), 20, count)
	most(t, "HEADs in it, all of moving tags", int(heads), 1000, count)
	least(t, "of those 1,020 answers, 304 where nothing has changed", int(answers.same.Load()), 1020, count)
	note(t, figure{what: "the whole of it, with 500 tags a repository and a registry that answers at once", measured: short(typical(takes)), ok: true})
}
