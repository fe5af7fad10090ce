package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the test machine may have no zones

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

func hour(h, m int) store.TimeOfDay { return store.TimeOfDay(h*60 + m) }

func TestWindow(t *testing.T) {
	const berlin = "Europe/Berlin" // clocks go forward on 29 March 2026 at 02:00, back on 25 October 2026 at 03:00
	night := store.Window{From: hour(2, 0), Until: hour(5, 0)}
	late := store.Window{From: hour(22, 0), Until: hour(6, 0)}
	weekend := store.Window{Days: []time.Weekday{time.Saturday, time.Sunday}}
	in := func(w store.Window, zone string, days ...time.Weekday) store.Window {
		w.Zone, w.Days = zone, append(w.Days, days...)
		return w
	}
	for _, c := range []struct {
		name     string
		w        store.Window
		at, next string // next: empty is at itself
	}{
		{"always", store.Window{}, "2026-03-03T11:59:59Z", ""},
		{"the whole day, written out", store.Window{From: 0, Until: hour(24, 0)}, "2026-03-03T23:59:59Z", ""},
		{"at its begin", night, "2026-03-03T02:00:00Z", ""},
		{"right before its begin", night, "2026-03-03T01:59:59.999Z", "2026-03-03T02:00:00Z"},
		{"right before its end", night, "2026-03-03T04:59:59.999Z", ""},
		{"at its end", night, "2026-03-03T05:00:00Z", "2026-03-04T02:00:00Z"},
		{"in another zone", in(night, berlin), "2026-03-03T00:59:00Z", "2026-03-03T01:00:00Z"},
		{"in another zone, within", in(night, berlin), "2026-03-03T03:59:00Z", ""},
		{"in another zone, over", in(night, berlin), "2026-03-03T04:00:00Z", "2026-03-04T01:00:00Z"},
		{"over midnight, before", late, "2026-03-03T21:00:00Z", "2026-03-03T22:00:00Z"},
		{"over midnight, in the evening", late, "2026-03-03T23:30:00Z", ""},
		{"over midnight, in the morning", late, "2026-03-03T05:30:00Z", ""},
		{"over midnight, over", late, "2026-03-03T06:00:00Z", "2026-03-03T22:00:00Z"},
		{"on a day", in(night, "", time.Tuesday), "2026-03-03T03:00:00Z", ""},
		{"on another day", in(night, "", time.Tuesday), "2026-03-04T03:00:00Z", "2026-03-10T02:00:00Z"},
		{"the morning after its day", in(late, "", time.Monday), "2026-03-03T05:00:00Z", ""},
		{"the morning of its day", in(late, "", time.Tuesday), "2026-03-03T05:00:00Z", "2026-03-03T22:00:00Z"},
		{"whole days", weekend, "2026-03-03T05:00:00Z", "2026-03-07T00:00:00Z"},
		{"whole days, at the end", weekend, "2026-03-08T23:59:59Z", ""},
		{"from one hour to the same", store.Window{From: hour(2, 0), Until: hour(2, 0), Days: []time.Weekday{time.Tuesday}}, "2026-03-04T01:59:00Z", ""},
		{"from one hour to the same, over", store.Window{From: hour(2, 0), Until: hour(2, 0), Days: []time.Weekday{time.Tuesday}}, "2026-03-04T02:00:00Z", "2026-03-10T02:00:00Z"},
		{"until the end of the day", store.Window{From: hour(23, 0), Until: hour(24, 0)}, "2026-03-03T23:59:59Z", ""},
		{"until the end of the day, over", store.Window{From: hour(23, 0), Until: hour(24, 0)}, "2026-03-04T00:00:00Z", "2026-03-04T23:00:00Z"},

		{"clocks forward, into the window", in(night, berlin), "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"}, // 03:00 there
		{"clocks forward, past the window", in(store.Window{From: hour(2, 0), Until: hour(3, 0)}, berlin), "2026-03-29T00:30:00Z", "2026-03-30T00:00:00Z"},
		{"clocks forward, the day before", in(night, berlin), "2026-03-28T00:30:00Z", "2026-03-28T01:00:00Z"},
		{"clocks back, in the hour that comes first", in(store.Window{From: hour(2, 0), Until: hour(2, 30)}, berlin), "2026-10-25T00:10:00Z", ""},
		{"clocks back, between the two", in(store.Window{From: hour(2, 0), Until: hour(2, 30)}, berlin), "2026-10-25T00:40:00Z", "2026-10-25T01:00:00Z"},
		{"clocks back, in the hour that comes again", in(store.Window{From: hour(2, 15), Until: hour(2, 30)}, berlin), "2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z"},
		{"clocks back, after both", in(store.Window{From: hour(2, 0), Until: hour(2, 30)}, berlin), "2026-10-25T01:30:00Z", "2026-10-26T01:00:00Z"},
		{"a zone that has half hours", in(night, "Australia/Lord_Howe"), "2026-10-03T15:00:00Z", "2026-10-03T15:30:00Z"}, // 02:00 becomes 02:30
	} {
		at := moment(t, c.at)
		want := at
		if c.next != "" {
			want = moment(t, c.next)
		}
		if got := c.w.Next(at); !got.Equal(want) {
			t.Errorf("%s: next from %s is %s, want %s", c.name, c.at, got, want)
		}
		if got := c.w.Contains(at); got != (c.next == "") {
			t.Errorf("%s: contains %s is %v", c.name, c.at, got)
		}
	}
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestWindowThatNeverIs(t *testing.T) {
	for name, w := range map[string]store.Window{
		"an unknown zone":  {Zone: "Nowhere/Town"},
		"the host's zone":  {Zone: "Local"},
		"no day of a week": {Days: []time.Weekday{9}},
	} {
		if w.Contains(noon) || !w.Next(noon).IsZero() {
			t.Errorf("%s: it has a moment: %s", name, w.Next(noon))
		}
		if w.Validate() == nil {
			t.Errorf("%s is taken for valid", name)
		}
	}
}

// TestWindowNextIsTheFirstMoment compares with a walk minute by minute, in zones and years with changes of the clock.
func TestWindowNextIsTheFirstMoment(t *testing.T) {
	places := []string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu"}
	rapid.Check(t, func(t *rapid.T) {
		w := store.Window{
			Days:  rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(0, 6), func(n int) time.Weekday { return time.Weekday(n) }), 0, 3, rapid.ID[time.Weekday]).Draw(t, "days"),
			From:  store.TimeOfDay(rapid.IntRange(0, 95).Draw(t, "from") * 15),
			Until: store.TimeOfDay(rapid.IntRange(0, 96).Draw(t, "until") * 15),
			Zone:  rapid.SampledFrom(places).Draw(t, "zone"),
		}
		if err := w.Validate(); err != nil {
			t.Fatal(err)
		}
		from := time.Date(2011, 12, 25, 0, 0, 0, 0, time.UTC)
		if rapid.Bool().Draw(t, "now") {
			from = time.Date(2026, time.Month(rapid.SampledFrom([]int{3, 10, 11}).Draw(t, "month")), rapid.IntRange(1, 30).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		}
		at := from.Add(time.Duration(rapid.IntRange(0, 3*24*60).Draw(t, "minutes")) * time.Minute)
		next := w.Next(at)
		if next.IsZero() || !w.Contains(next) || next.Before(at) {
			t.Fatalf("next from %s is %s", at, next)
		}
		for m := at; m.Before(next); m = m.Add(time.Minute) {
			if w.Contains(m) {
				t.Fatalf("next from %s is %s, but %s is in it", at, next, m)
			}
		}
		text, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		var again store.Window
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		for m := at; m.Before(at.Add(48 * time.Hour)); m = m.Add(45 * time.Minute) {
			if w.Contains(m) != again.Contains(m) {
				t.Fatalf("%s comes back as another window", text)
			}
		}
	})
}

func TestWindowText(t *testing.T) {
	const text = `{"days":["mon","sun"],"from":"22:30","until":"24:00","time_zone":"Europe/Berlin"}`
	var w store.Window
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	want := store.Window{Days: []time.Weekday{time.Monday, time.Sunday}, From: hour(22, 30), Until: hour(24, 0), Zone: "Europe/Berlin"}
	if diff := cmp.Diff(want, w); diff != "" {
		t.Error(diff)
	}
	if out, err := json.Marshal(w); err != nil || string(out) != text {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := json.Marshal(store.Window{}); err != nil || string(out) != `{}` || !(store.Window{}).Always() {
		t.Errorf("always is %s, %v", out, err)
	}
	for _, bad := range []struct{ text, field string }{
		{`{"days":["monday"]}`, "window.days"},
		{`{"days":["Mon"]}`, "window.days"},
		{`{"days":"mon"}`, "window"},
		{`{"from":"2:00"}`, "window.from"},
		{`{"from":"02:60"}`, "window.from"},
		{`{"from":"02:00:00"}`, "window.from"},
		{`{"from":120}`, "window"},
		{`{"until":"24:01"}`, "window.until"},
		{`{"until":"-1:00"}`, "window.until"},
		{`{"until":"+1:00"}`, "window.until"},
		{`{"zone":"UTC"}`, "window"},
		{`[]`, "window"},
	} {
		w := want
		err := json.Unmarshal([]byte(bad.text), &w)
		var wrong store.FieldError
		if !errors.As(err, &wrong) || wrong.Field != bad.field {
			t.Errorf("%s: %v, want a word on %s", bad.text, err, bad.field)
		}
		if diff := cmp.Diff(want, w); diff != "" {
			t.Errorf("%s: half of it was taken:\n%s", bad.text, diff)
		}
	}
	for _, bad := range []struct {
		w     store.Window
		field string
	}{
		{store.Window{Days: []time.Weekday{time.Monday, time.Monday}}, "window.days"},
		{store.Window{Days: []time.Weekday{-1}}, "window.days"},
		{store.Window{From: hour(24, 0)}, "window.from"},
		{store.Window{From: -1}, "window.from"},
		{store.Window{Until: hour(24, 1)}, "window.until"},
		{store.Window{Zone: "Mars"}, "window.time_zone"},
		{store.Window{Zone: "../etc/passwd"}, "window.time_zone"},
	} {
		var wrong store.FieldError
		if err := bad.w.Validate(); !errors.As(err, &wrong) || wrong.Field != bad.field || strings.Count(err.Error(), ":") == 0 {
			t.Errorf("%+v: %v, want a word on %s", bad.w, err, bad.field)
		}
	}
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte(`{"days":["mon"],"from":"02:00","until":"05:00","time_zone":"Europe/Berlin"}`), int64(1_774_000_000))
	f.Add([]byte(`{"from":"23:59","until":"00:01"}`), int64(0))
	f.Fuzz(func(t *testing.T, text []byte, unix int64) {
		var w store.Window
		if json.Unmarshal(text, &w) != nil || w.Validate() != nil || unix < 0 || unix > 1<<33 {
			return
		}
		at := time.Unix(unix, 0)
		next := w.Next(at)
		if next.IsZero() || next.Before(at) || !w.Contains(next) {
			t.Errorf("%s: next from %s is %s", text, at, next)
		}
		if next.Equal(at) != w.Contains(at) {
			t.Errorf("%s: contains %s is %v, next is %s", text, at, w.Contains(at), next)
		}
	})
}
