package main

import "testing"

func TestBytesOfASetting(t *testing.T) {
	for text, want := range map[string]struct {
		n     int64
		again string
	}{
		"0": {0, "0 B"}, "1073741824": {1 << 30, "1 GiB"}, "1GiB": {1 << 30, "1 GiB"}, "1 GiB": {1 << 30, "1 GiB"}, "1.5GiB": {3 << 29, "1536 MiB"},
		"500MB": {500_000_000, "477 MiB"}, "500M": {500_000_000, "477 MiB"}, "2Ki": {2048, "2 KiB"}, "1TiB": {1 << 40, "1 TiB"}, "12B": {12, "12 B"},
		"64kB": {64_000, "62.5 KiB"},
	} {
		n, err := parseBytes(text)
		if err != nil || n != want.n || bytesText(n) != want.again {
			t.Errorf("%q: %d (%s) %v, want %d (%s)", text, n, bytesText(n), err, want.n, want.again)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "1 PiB", "1e9", "one", "1GiBB", "1..5GB", "99999999999999999999999"} {
		if n, err := parseBytes(text); err == nil {
			t.Errorf("%q is read as %d", text, n)
		}
	}
}
