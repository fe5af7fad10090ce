package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
)

func TestWindow(t *testing.T) {
	for text, want := range map[string]struct {
		window client.Window
		again  string // how it is written
	}{
		"always":                            {client.Window{}, "always"},
		"mon-sun":                           {client.Window{}, "always"},
		"mon-fri 02:00-05:00 Europe/Berlin": {client.Window{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "02:00", Until: "05:00", TimeZone: "Europe/Berlin"}, "mon-fri 02:00-05:00 Europe/Berlin"},
		"22:00-6:00":                        {client.Window{From: "22:00", Until: "06:00"}, "22:00-06:00"},
		"Sun,sat":                           {client.Window{Days: []string{"sat", "sun"}}, "sat,sun"},
		"fri-mon 20:00-24:00":               {client.Window{Days: []string{"mon", "fri", "sat", "sun"}, From: "20:00", Until: "24:00"}, "mon,fri-sun 20:00-24:00"},
		"monday,wednesday,wed":              {client.Window{Days: []string{"mon", "wed"}}, "mon,wed"},
		"00:00-24:00 UTC":                   {client.Window{From: "00:00", Until: "24:00", TimeZone: "UTC"}, "00:00-24:00 UTC"},
		"tue UTC":                           {client.Window{Days: []string{"tue"}, TimeZone: "UTC"}, "tue UTC"},
	} {
		got, err := parseWindow(text)
		if diff := cmp.Diff(want.window, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got)\n%s", text, err, diff)
			continue
		}
		if again := windowText(got); again != want.again {
			t.Errorf("%q is written %q, want %q", text, again, want.again)
		}
		if again, err := parseWindow(windowText(got)); err != nil || !cmp.Equal(again, got) {
			t.Errorf("%q does not survive being written: %+v %v", text, again, err)
		}
	}
}

func TestNoWindow(t *testing.T) {
	for _, text := range []string{
		"", "  ", "nightly", "02:00", "02:00-", "02:00-02:00", "24:00-05:00", "25:00-26:00", "02:60-05:00", "02:00-24:01", "-1:00-05:00",
		"mon-", "mon-xyz", "mon,,tue", "always UTC", "mon 02:00-05:00 Mars/Base", "mon 02:00-05:00 Local", "02:00-05:00 mon", "mon tue",
		"mon 02:00-05:00 UTC UTC",
	} {
		if w, err := parseWindow(text); err == nil {
			t.Errorf("%q is read as %+v", text, w)
		} else if diff := cmp.Diff(client.Window{}, w); diff != "" {
			t.Errorf("%q: half a window beside the error: %s", text, diff)
		}
	}
}
