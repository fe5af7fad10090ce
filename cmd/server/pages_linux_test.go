package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestUnchanged(t *testing.T) {
	smaps := `00400000-01000000 r-xp 00000000 fe:00 42                         /usr/bin/server
Size:              12288 kB
Anonymous:             0 kB
01000000-02000000 r--p 00c00000 fe:00 42                         /usr/bin/server
Anonymous:             4 kB
02000000-02100000 r--p 01c00000 fe:00 42                         /usr/bin/server
Private_Dirty:         0 kB
Anonymous:             0 kB
02100000-02200000 rw-p 01d00000 fe:00 42                         /usr/bin/server
Anonymous:             0 kB
03000000-03100000 r-xp 00000000 fe:00 43                         /usr/lib/other.so
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             0 kB
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]
Anonymous:             0 kB
`
	want := []stretch{{0x400000, 0x1000000}, {0x2000000, 0x2100000}}
	if got := unchanged([]byte(smaps), "/usr/bin/server"); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestGiveBackPages: the program is smaller afterwards, and goes on.
func TestGiveBackPages(t *testing.T) {
	before := fileBacked(t)
	if err := giveBackPages(); err != nil {
		t.Fatal(err)
	}
	if after := fileBacked(t); after >= before {
		t.Errorf("%d kB of files in memory before, %d kB after", before, after)
	}
}

// fileBacked are the kilobytes of files that this process has in memory.
func fileBacked(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
