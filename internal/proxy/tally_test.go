package proxy

import "testing"

// A count says to which kind its rule belongs, also when the rule is gone and the count was put back meanwhile.
func TestCountsSayTheKindOfTheirRule(t *testing.T) {
	r := newRig(t)
	byHand, ofStage := rule("a.example", says(t, "a")), rule("b.example", says(t, "b"), says(t, "b"))
	ofStage.Kind = KindRoute // its count names no target, for there are two
	r.apply(byHand, ofStage)
	r.get("a.example", "/")
	r.get("b.example", "/")
	kinds := func(counts []Count) map[string]Kind {
		of := map[string]Kind{}
		for _, c := range counts {
			of[c.Rule] = c.Kind
		}
		return of
	}
	want := func(what string, got map[string]Kind) {
		t.Helper()
		if len(got) != 2 || got[byHand.ID] != KindProxy || got[ofStage.ID] != KindRoute {
			t.Errorf("%s are %v", what, got)
		}
	}
	want("pending ones", kinds(r.PendingCounts()))
	taken := r.TakeCounts()
	want("taken ones", kinds(taken))
	r.apply()
	r.TakeCounts() // which forgets rules that are in no table
	r.PutBack(taken)
	want("those put back", kinds(r.TakeCounts()))
}
