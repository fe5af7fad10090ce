package docker

import (
	"errors"
	"strings"
	"testing"
)

func TestMayTouch(t *testing.T) {
	id, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	labels := func(installation, instance string, more ...string) map[string]string {
		l := map[string]string{LabelManaged: "true", LabelInstallation: installation, LabelInstance: instance}
		for i := 0; i+1 < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		return l
	}
	ours := Owned{ID: id, Installation: "here", Instance: "i1"}
	adopted := Owned{ID: id, Installation: "here", Instance: "i1", Adopted: true}
	leftover := Owned{ID: id, Installation: "here", Leftover: true}
	cases := []struct {
		name string
		c    Owned
		got  Container
		may  bool
	}{
		{"ours", ours, Container{ID: id, Labels: labels("here", "i1")}, true},
		{"adopted needs no label", adopted, Container{ID: id}, true},
		{"adopted with somebody's labels", adopted, Container{ID: id, Labels: labels("there", "i9")}, true},
		{"another container with our labels copied", ours, Container{ID: other, Labels: labels("here", "i1")}, false},
		{"adopted, but another id", adopted, Container{ID: other}, false},
		{"a leftover of ours", leftover, Container{ID: id, Labels: labels("here", "i9")}, true},
		{"a leftover, but another id", leftover, Container{ID: other, Labels: labels("here", "i9")}, false},
		{"a leftover of another installation", leftover, Container{ID: id, Labels: labels("there", "i1")}, false},
		{"a leftover without labels", leftover, Container{ID: id}, false},
		{"a leftover with blanked labels", Owned{ID: id, Leftover: true}, Container{ID: id, Labels: labels("", "")}, false},
		{"a leftover that is a Swarm task", leftover, Container{ID: id, Labels: labels("here", "i9", LabelSwarmTask, "t1")}, false},
		{"a leftover is not adopted", Owned{ID: id, Adopted: true, Leftover: true}, Container{ID: id}, false},
		{"no labels", ours, Container{ID: id}, false},
		{"another installation", ours, Container{ID: id, Labels: labels("there", "i1")}, false},
		{"another instance", ours, Container{ID: id, Labels: labels("here", "i2")}, false},
		{"a Swarm task", ours, Container{ID: id, Labels: labels("here", "i1", LabelSwarmTask, "t1")}, false},
		{"an adopted Swarm task", adopted, Container{ID: id, Labels: map[string]string{LabelSwarmTask: "t1"}}, false},
		{"nothing was named", Owned{ID: id}, Container{ID: id, Labels: labels("", "")}, false},
		{"no instance was named", Owned{ID: id, Installation: "here"}, Container{ID: id, Labels: labels("here", "")}, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.c.mayTouch(tc.got)
			if tc.may && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tc.may && !errors.Is(err, ErrNotOwned) {
				t.Errorf("got %v, want ErrNotOwned", err)
			}
		})
	}
}

func TestFullID(t *testing.T) {
	for id, want := range map[string]bool{
		strings.Repeat("0f", 32):       true,
		"":                             false,
		"web":                          false,
		strings.Repeat("0f", 6):        false,
		strings.Repeat("0F", 32):       false,
		strings.Repeat("0g", 32):       false,
		strings.Repeat("0f", 32) + "0": false,
	} {
		if got := fullID(id); got != want {
			t.Errorf("fullID(%q) = %v", id, got)
		}
	}
}
