package tagrule

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyName draws names that look like each other, so that comparisons come to their last step.
func anyName() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`v?[0-2]\.[0-2](\.[0-2])?(-(rc|alpine)\.?[0-2]?)?`),
		rapid.StringMatching(`(n-)?20(25|26)-?0[12]-?[0-3][0-9](\.[0-9])?`),
		rapid.StringMatching(`[a0_.-]{0,4}0?1?0?[b.]?0?`),
		rapid.StringMatching(`(main|v1)-[0-9]{1,3}(\.sig)?`),
		rapid.String(),
	)
}

func anyTags() *rapid.Generator[[]Tag] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Tag {
		tag := Tag{Name: anyName().Draw(t, "name")}
		if rapid.Bool().Draw(t, "asked") {
			tag.Created = rapid.SampledFrom([]time.Time{noon.Add(-48 * hour), noon.Add(-hour), noon.Add(hour), time.Unix(0, 0).UTC()}).Draw(t, "created")
		}
		if rapid.Bool().Draw(t, "seen") {
			tag.Seen = noon.Add(-25 * hour)
		}
		return tag
	}), 0, 12)
}

func anyRule() *rapid.Generator[Rule] {
	return rapid.Custom(func(t *rapid.T) Rule {
		r := rapid.SampledFrom([]Rule{
			{Kind: Glob, Pattern: "*"},
			{Kind: Glob, Pattern: "v*"},
			{Kind: Regex, Pattern: `v?(.+?)(?:-.*)?`},
			{Kind: Regex, Pattern: `.*`},
			{Kind: Semver, Pattern: "*", PreReleases: true},
			{Kind: Semver, Pattern: ">=0.1 <2"},
			{Kind: Moving, Pattern: "v1.1"},
		}).Draw(t, "rule")
		if r.Kind == Glob || r.Kind == Regex {
			r.Order = rapid.SampledFrom(append([]Order{""}, Orders...)).Draw(t, "order")
		}
		r.Ignore = rapid.SampledFrom([][]string{nil, {"*-rc*"}, {"?", "*0"}}).Draw(t, "ignore")
		return r
	})
}

// TestOrderIsTotal: of two different tags one is newer, and newer than newer is newer.
func TestOrderIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.SampledFrom(Orders).Draw(t, "order")
		var cs []*candidate
		for _, tag := range anyTags().Draw(t, "tags") {
			c := &candidate{Judged: Judged{Tag: tag, Version: tag.Name}}
			if c.readKey(order, noon) == nil {
				cs = append(cs, c)
			}
		}
		for _, a := range cs {
			for _, b := range cs {
				if a.compare(b) != -b.compare(a) {
					t.Fatalf("%q and %q: %d and %d", a.Name, b.Name, a.compare(b), b.compare(a))
				}
				if (a.compare(b) == 0) != (a.Name == b.Name && a.at.Equal(b.at)) {
					t.Fatalf("%q and %q are equal", a.Name, b.Name)
				}
				for _, c := range cs {
					if a.compare(b) <= 0 && b.compare(c) <= 0 && a.compare(c) > 0 {
						t.Fatalf("%q <= %q <= %q, but not the first and the last", a.Name, b.Name, c.Name)
					}
				}
			}
		}
	})
}

// TestVerdictDependsOnNothingElse: not on the order of the tags, and each of them is in it once.
func TestVerdictDependsOnNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := Compile(anyRule().Draw(t, "rule"))
		if err != nil {
			t.Fatal(err)
		}
		tags := anyTags().Draw(t, "tags")
		minAge := rapid.SampledFrom([]time.Duration{0, hour, 24 * hour}).Draw(t, "age")
		v := m.Judge(tags, minAge, noon)
		shuffled := rapid.Permutation(tags).Draw(t, "shuffled")
		if again := m.Judge(shuffled, minAge, noon); !reflect.DeepEqual(v, again) {
			t.Fatalf("%+v\nand, shuffled, %+v", v, again)
		}
		seen := map[string]int{}
		for _, j := range slices.Concat(v.Matched, v.Others) {
			seen[j.Name]++
			if j.Why == "" {
				t.Fatalf("no word of %q", j.Name)
			}
		}
		for _, tag := range tags {
			if seen[tag.Name] != 1 {
				t.Fatalf("%q is in the verdict %d times", tag.Name, seen[tag.Name])
			}
		}
	})
}

// TestWhatIsReady is always a tag that matches and is old enough, with nothing left to be asked that could change it.
func TestWhatIsReady(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := Compile(anyRule().Draw(t, "rule"))
		if err != nil {
			t.Fatal(err)
		}
		minAge := rapid.SampledFrom([]time.Duration{0, hour, 24 * hour}).Draw(t, "age")
		v := m.Judge(anyTags().Draw(t, "tags"), minAge, noon)
		if v.Why == "" {
			t.Fatal("no word of why")
		}
		i := slices.IndexFunc(v.Matched, func(j Judged) bool { return j.Name == v.Ready })
		switch {
		case v.Ready == "" && len(v.Matched) > 0 && minAge == 0 && len(v.Needs) == 0:
			t.Fatal("something matches, and nothing is ready")
		case v.Ready == "":
			return
		case i < 0 || len(v.Needs) > 0 || !ValidName(v.Ready) || isArtifact(v.Ready):
			t.Fatalf("ready is %q: %+v", v.Ready, v)
		}
		for at, j := range v.Matched[:i+1] {
			old := noon.Sub(j.madeAt(noon)) >= minAge
			if minAge > 0 && (j.Created.IsZero() || old != (at == i)) {
				t.Fatalf("ready is %q, but %q is older than it must be: %v", v.Ready, j.Name, old)
			}
		}
	})
}
