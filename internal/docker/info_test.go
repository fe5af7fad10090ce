package docker

import "testing"

func TestFreeSpace(t *testing.T) {
	for _, c := range []struct {
		name, line, says string
		want             int64
	}{
		{"overlay", "Backing Filesystem", "extfs", -1},
		{"zfs", "Space Available", "1234567890", 1234567890},
		{"devicemapper", "Data Space Available", "12.5 GB", 12_500_000_000},
		{"binary", "Data Space Available", "2GiB", 2 << 30},
		{"full", "Space Available", "0", 0},
		{"bytes", "Data Space Available", "17 B", 17},
		{"no number", "Space Available", "plenty", -1},
		{"empty", "Space Available", "", -1},
		{"below zero", "Space Available", "-5 GB", -1},
		{"no unit of ours", "Space Available", "5 parsec", -1},
		{"beyond all disks", "Space Available", "9e30 PB", -1},
	} {
		if got := freeSpace([][2]string{{"Pool", "x"}, {c.line, c.says}}); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if got := freeSpace(nil); got != -1 {
		t.Errorf("nothing said: %d", got)
	}
}
