package proxy

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAKeptTableIsTheOneThatWasApplied, though it is put together of what was written of it before.
func TestAKeptTableIsTheOneThatWasApplied(t *testing.T) {
	r := newRig(t)
	own := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")}
	stopped := rule("c.example")
	stopped.Targets = []Target{{Ref: "instance:1:80", Why: "it is stopped", Remedy: "start it", StoppedSince: time.Unix(1, 0).UTC()}}
	for name, table := range map[string]Table{
		"nothing":        {},
		"no rules":       {Own: own, Engines: []string{"engine:2376"}},
		"a rule":         {Rules: []Rule{rule("a.example", "http://10.0.0.5")}},
		"rules and more": {Rules: []Rule{rule("a.example", "http://10.0.0.5"), rule("b.example", "http://10.0.0.6").at("/x").with(func(o *Options) { o.HSTSSeconds = 5 }), stopped}, Own: own, ACME: ACME{Email: "ops@example.com"}},
	} {
		hash, err := r.Apply(table)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := KeptTable(r.file)
		if err != nil {
			t.Fatal(err)
		}
		again, err := kept.Hash()
		if err != nil || again != hash {
			t.Errorf("%s: the hash of what is kept is %s, want %s (%v)", name, again, hash, err)
		}
		if len(table.Rules) == 0 {
			kept.Rules = nil
		}
		if diff := cmp.Diff(asJSON(t, table), asJSON(t, kept)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func asJSON(t *testing.T, table Table) string {
	t.Helper()
	text, err := json.MarshalIndent(table, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
