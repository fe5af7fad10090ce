package docker

import (
	"sync/atomic"
	"time"
)

// AnswerBounds are the upper bounds by which Answers tells times apart.
func AnswerBounds() []time.Duration { return answerBounds[:] }

var answerBounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 10 * time.Second,
}

// Answers is how long an engine took from a request to the head of its answer, since this process knows it. What takes its time by
// its nature (to stop, to wait, to pull) is among them.
type Answers struct {
	Within   []int64 // how many took at most each of AnswerBounds, those of the smaller ones included
	Count    int64
	Sum      time.Duration
	Failures int64 // requests without an answer, those that were called off included
}

// Answers tells how fast the engine answers.
func (e *Engine) Answers() Answers {
	a := Answers{Within: make([]int64, len(answerBounds)), Count: e.answers.slow.Load(), Sum: time.Duration(e.answers.sum.Load()), Failures: e.answers.failures.Load()}
	var below int64
	for i := range e.answers.within {
		below += e.answers.within[i].Load()
		a.Within[i] = below
	}
	a.Count += below
	return a
}

// answers counts what Answers tells.
type answers struct {
	within   [len(answerBounds)]atomic.Int64 // each without the smaller ones
	slow     atomic.Int64                    // more than the last bound
	sum      atomic.Int64                    // ns
	failures atomic.Int64
}

func (a *answers) note(took time.Duration, err error) {
	if err != nil {
		a.failures.Add(1)
		return
	}
	a.sum.Add(int64(took))
	for i, bound := range answerBounds {
		if took <= bound {
			a.within[i].Add(1)
			return
		}
	}
	a.slow.Add(1)
}
