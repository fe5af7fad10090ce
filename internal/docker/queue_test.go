package docker

import (
	"context"
	"errors"
	"strconv"
	"testing"
)

func TestQueueKeepsTheOrder(t *testing.T) {
	q := newEventQueue()
	for i := range queueLimit {
		if q.put(Event{ContainerID: strconv.Itoa(i)}) {
			t.Fatalf("overflow at %d", i)
		}
	}
	got, err := q.take(t.Context())
	if err != nil || len(got) != queueLimit {
		t.Fatalf("took %d, %v", len(got), err)
	}
	for i, ev := range got {
		if ev.Gap || ev.ContainerID != strconv.Itoa(i) {
			t.Fatalf("event %d is %+v", i, ev)
		}
	}
}

func TestQueueOverflowBecomesOneGap(t *testing.T) {
	q := newEventQueue()
	for i := range queueLimit {
		q.put(Event{ContainerID: strconv.Itoa(i)})
	}
	if !q.put(Event{ContainerID: "last"}) {
		t.Fatal("an overflow went unnoticed")
	}
	got, err := q.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !got[0].Gap || got[0].Reason != "overflow" || got[1].ContainerID != "last" {
		t.Errorf("got %+v, want a gap and then what came after it", got)
	}
}

func TestQueueTakeEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newEventQueue().take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
