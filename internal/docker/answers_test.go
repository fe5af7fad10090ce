package docker

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	e := &Engine{}
	for _, took := range []time.Duration{time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond, time.Second, time.Minute} {
		e.answers.note(took, nil)
	}
	e.answers.note(time.Hour, errors.New("no answer"))
	a := e.Answers()
	if want := []int64{1, 3, 3, 3, 3, 4, 4}; !slices.Equal(a.Within, want) {
		t.Errorf("within %v, want %v", a.Within, want)
	}
	if a.Count != 5 || a.Failures != 1 || a.Sum != time.Minute+time.Second+7*time.Millisecond {
		t.Errorf("got %+v", a)
	}
}
