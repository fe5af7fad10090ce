package tagrule

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// FuzzRule: whatever text somebody writes as a rule is refused with the name of a part and a reason, or it can be used.
func FuzzRule(f *testing.F) {
	for _, seed := range [][4]string{
		{"glob", "v*", "semver", "*-debug"},
		{"regex", `v(?<version>\d+)`, "natural", ""},
		{"semver", ">=1.2 <2 || ~3", "", "x"},
		{"exact", "1.0", "", ""},
		{"moving", "latest", "created", "[a-"},
		{"regex", `(?i)(a{2,100}){9}|\pL`, "date", "?"},
		{"semver", "1.0.0-0 - 2", "semver", "a\\"},
		{"", "", "", "\xff"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], true, "v1.2.3-rc.1")
	}
	f.Fuzz(func(t *testing.T, kind, pattern, order, ignore string, pre bool, tag string) {
		r := Rule{Kind: Kind(kind), Pattern: pattern, Order: Order(order), PreReleases: pre}
		if ignore != "" {
			r.Ignore = []string{ignore}
		}
		m, err := Compile(r)
		if err != nil {
			var wrong FieldError
			if m != nil || !errors.As(err, &wrong) || wrong.Field == "" || wrong.Reason == "" {
				t.Fatalf("%s: %v, %v", r, m, err)
			}
			return
		}
		begun := time.Now()
		v := m.Judge([]Tag{{Name: tag}, {Name: "latest", Created: noon}, {Name: tag + ".sig"}}, time.Hour, noon)
		if took := time.Since(begun); took > 20*time.Second {
			t.Fatalf("%s took %s", r, took)
		}
		for _, j := range v.Matched {
			if !ValidName(j.Name) || strings.HasSuffix(j.Name, ".sig") {
				t.Fatalf("%s matches %q", r, j.Name)
			}
		}
	})
}

// FuzzTags: whatever a registry calls tags is put in order, and only what is a tag is ever chosen.
func FuzzTags(f *testing.F) {
	f.Add("1.4.2,v1.4.3,1.4,latest,20260301,2026-03-01.2,main-9,main-10")
	f.Add("a,,\x00,../../etc,sha256-" + strings.Repeat("0", 64) + ".sig,00000000000000000000000001,1e9")
	f.Add("2026-02-30,20269999,9999999999999999999999.0.0,1.0.0-0.0.0,v,-,.,_")
	f.Fuzz(func(t *testing.T, text string) {
		tags := named(strings.Split(text, ",")...)
		for _, r := range []Rule{
			{Kind: Glob, Pattern: "*"},
			{Kind: Glob, Pattern: "*", Order: ByDate},
			{Kind: Glob, Pattern: "*", Order: ByVersion},
			{Kind: Semver, Pattern: "*", PreReleases: true},
			{Kind: Regex, Pattern: `\D*(\d.*)`},
		} {
			v := compile(t, r).Judge(tags, 0, noon)
			if v.Ready != "" && (!ValidName(v.Ready) || isArtifact(v.Ready)) {
				t.Fatalf("%s chooses %q", r, v.Ready)
			}
			if (v.Ready == "") != (len(v.Matched) == 0) || v.Why == "" {
				t.Fatalf("%s: ready is %q of %d: %s", r, v.Ready, len(v.Matched), v.Why)
			}
		}
	})
}
