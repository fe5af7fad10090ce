package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// stretch is a part of this process's memory.
type stretch struct{ from, to uintptr }

// giveBackPages lets go of the pages of this program that only its start or a burst has touched: most of a binary is never
// run while a daemon idles. They are read again when they are needed, out of the system's cache as a rule.
func giveBackPages() error {
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read which pages of the program are in memory: %w", err)
	}
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	for _, s := range unchanged(text, own) {
		if _, _, no := syscall.Syscall(syscall.SYS_MADVISE, s.from, s.to-s.from, syscall.MADV_DONTNEED); no != 0 {
			return fmt.Errorf("give pages of the program back: %w", no)
		}
	}
	return nil
}

// unchanged are the stretches of smaps that hold a file as it is: nobody may write to them, and nothing in them was changed
// at the start, as the tables of a program are that can be loaded anywhere.
func unchanged(smaps []byte, file string) (all []stretch) {
	var at stretch
	candidate := false
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 6 && (fields[1] == "r-xp" || fields[1] == "r--p") && strings.HasSuffix(lines.Text(), " "+file):
			at, candidate = parseStretch(fields[0])
		case len(fields) > 1 && strings.Contains(fields[0], "-"):
			candidate = false // another stretch begins
		case candidate && len(fields) == 3 && fields[0] == "Anonymous:":
			if fields[1] == "0" {
				all = append(all, at)
			}
			candidate = false
		}
	}
	return all
}

func parseStretch(text string) (stretch, bool) {
	from, to, ok := strings.Cut(text, "-")
	begin, err := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	return stretch{uintptr(begin), uintptr(end)}, ok && err == nil && err2 == nil && begin < end
}
