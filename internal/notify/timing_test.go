package notify

import (
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestConcerns(t *testing.T) {
	e := store.Event{ID: 7, Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale", ProjectID: "p"}
	for name, test := range map[string]struct {
		wants store.NotifyWants
		event func(*store.Event)
		want  bool
	}{
		"everything":       {want: true},
		"its kind":         {wants: store.NotifyWants{Kinds: []string{"deploy.*", "instance.stale"}}, want: true},
		"what begins so":   {wants: store.NotifyWants{Kinds: []string{"instance.*"}}, want: true},
		"its project":      {wants: store.NotifyWants{Projects: []string{"q", "p"}}, want: true},
		"another kind":     {wants: store.NotifyWants{Kinds: []string{"instance.missing", "stale"}}},
		"another severity": {wants: store.NotifyWants{Severities: []store.Severity{store.SeverityError}}},
		"another source":   {wants: store.NotifyWants{Sources: []store.Source{store.SourcePoller}}},
		"another project":  {wants: store.NotifyWants{Projects: []string{"q"}}},
		"of no project":    {wants: store.NotifyWants{Projects: []string{"p"}}, event: func(e *store.Event) { e.ProjectID = "" }},
		"chatter":          {event: func(e *store.Event) { e.ID = 0 }},
	} {
		ev := e
		if test.event != nil {
			test.event(&ev)
		}
		if got := Concerns(test.wants, ev); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestHeld(t *testing.T) {
	berlin := store.QuietHours{From: "22:00", To: "07:00", Zone: "Europe/Berlin"}
	for name, test := range map[string]struct {
		quiet     store.QuietHours
		severity  store.Severity
		due, want string
	}{
		"no quiet hours":         {store.QuietHours{}, "warn", "2026-01-10T03:00:00Z", "2026-01-10T03:00:00Z"},
		"at night":               {berlin, "warn", "2026-01-10T01:30:00Z", "2026-01-10T06:00:00Z"},
		"in summer":              {berlin, "warn", "2026-07-10T01:30:00Z", "2026-07-10T05:00:00Z"},
		"its first minute":       {berlin, "warn", "2026-01-10T21:00:00Z", "2026-01-11T06:00:00Z"},
		"the minute before":      {berlin, "warn", "2026-01-10T20:59:59Z", "2026-01-10T20:59:59Z"},
		"its end":                {berlin, "warn", "2026-01-10T06:00:00Z", "2026-01-10T06:00:00Z"},
		"an error":               {berlin, "error", "2026-01-10T01:30:00Z", "2026-01-10T01:30:00Z"},
		"an error that is held":  {store.QuietHours{From: "22:00", To: "07:00", HoldErrors: true}, "error", "2026-01-10T01:30:00Z", "2026-01-10T07:00:00Z"},
		"in the day":             {store.QuietHours{From: "12:00", To: "13:30"}, "info", "2026-01-10T12:10:00Z", "2026-01-10T13:30:00Z"},
		"the clock goes forward": {berlin, "warn", "2026-03-29T00:30:00Z", "2026-03-29T05:00:00Z"},
		"the clock goes back":    {berlin, "warn", "2026-10-25T00:30:00Z", "2026-10-25T06:00:00Z"},
		// 02:30 is no time of that day: the quiet ends with the hour that is left out, and not a day later.
		"an end that is left out": {store.QuietHours{From: "22:00", To: "02:30", Zone: "Europe/Berlin"}, "warn", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"},
		"an end that comes twice": {store.QuietHours{From: "22:00", To: "02:30", Zone: "Europe/Berlin"}, "warn", "2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z"},
		"not to be read":          {store.QuietHours{From: "25:00", To: "02:30"}, "warn", "2026-03-29T00:30:00Z", "2026-03-29T00:30:00Z"},
	} {
		if got := Held(test.quiet, test.severity, at(test.due)); !got.Equal(at(test.want)) {
			t.Errorf("%s: until %s, want %s", name, got, test.want)
		}
	}
}

func TestWhen(t *testing.T) {
	now := at("2026-01-10T21:55:00Z")
	night := store.QuietHours{From: "22:00", To: "07:00"}
	for name, test := range map[string]struct {
		timing   store.NotifyTiming
		severity store.Severity
		want     string
		urgent   bool
	}{
		"at once":               {store.NotifyTiming{}, "warn", "2026-01-10T21:55:00Z", false},
		"gathered":              {store.NotifyTiming{Gather: time.Minute}, "warn", "2026-01-10T21:56:00Z", false},
		"gathered into quiet":   {store.NotifyTiming{Gather: 10 * time.Minute, Quiet: night}, "warn", "2026-01-11T07:00:00Z", false},
		"an error":              {store.NotifyTiming{Gather: 10 * time.Minute, Quiet: night}, "error", "2026-01-10T21:55:00Z", true},
		"an error, gathered":    {store.NotifyTiming{Gather: time.Minute, GatherErrors: true}, "error", "2026-01-10T21:56:00Z", false},
		"an error, held":        {store.NotifyTiming{Quiet: store.QuietHours{From: "21:00", To: "07:00", HoldErrors: true}}, "error", "2026-01-11T07:00:00Z", false},
		"an error that may not": {store.NotifyTiming{Gather: 10 * time.Minute, GatherErrors: true, Quiet: night}, "error", "2026-01-10T22:05:00Z", false},
	} {
		if due, urgent := When(test.timing, test.severity, now); !due.Equal(at(test.want)) || urgent != test.urgent {
			t.Errorf("%s: %s, %t", name, due, urgent)
		}
	}
}

func TestValidQuiet(t *testing.T) {
	for _, good := range []store.QuietHours{{}, {From: "00:00", To: "23:59"}, {From: "22:00", To: "07:00", Zone: "America/New_York"}} {
		if err := ValidQuiet(good); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, bad := range []store.QuietHours{
		{From: "22:00"},
		{To: "07:00"},
		{From: "24:00", To: "07:00"},
		{From: "7:00", To: "08:00"},
		{From: "22:00", To: "22:00"},
		{From: "22:00", To: "07:00", Zone: "Mars/Olympus"},
		{From: "22:00", To: "07:00", Zone: "Local"},
		{From: "22:00", To: "07:00", Zone: "../etc/passwd"},
	} {
		if ValidQuiet(bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestBackoff(t *testing.T) {
	var sum time.Duration
	for attempts := 1; attempts < 100; attempts++ {
		wait := Backoff(attempts)
		if wait < firstBackoff || wait > lastBackoff || wait < Backoff(attempts-1) {
			t.Errorf("after %d: %s", attempts, wait)
		}
		sum += wait
	}
	if Backoff(1) != firstBackoff || Backoff(9) != lastBackoff || Backoff(1<<30) != lastBackoff {
		t.Error(Backoff(1), Backoff(9))
	}
	if GivenUp(dawn, dawn.Add(24*time.Hour)) || !GivenUp(dawn, dawn.Add(GiveUpAfter)) {
		t.Error("given up at the wrong time")
	}
}
