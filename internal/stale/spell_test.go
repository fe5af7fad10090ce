package stale

import "testing"

func TestSpellBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1<<20 - 1: "1.00 MiB", 12_345_678: "11.8 MiB", 512 << 20: "512 MiB", 1_288_490_188: "1.20 GiB",
		10*1024 - 1: "10.0 KiB", 1 << 40: "1.00 TiB",
	} {
		if got := spellBytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
