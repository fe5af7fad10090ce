package docker

import (
	"os"
	"strings"
)

// Self is the full id of the container that this process runs in; empty if it runs in none, or that cannot be told. An engine
// mounts the files of a container's network from a folder that is called by its id.
func Self() string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "" // not Linux
	}
	return selfIn(string(table))
}

// selfIn finds it in a table of mounts, as /proc/self/mountinfo has it.
func selfIn(mountinfo string) string {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		switch fields[4] { // where it is mounted
		case "/etc/hostname", "/etc/hosts", "/etc/resolv.conf":
		default:
			continue
		}
		for part := range strings.SplitSeq(fields[3], "/") { // which folder of its file system
			if fullID(part) {
				return part
			}
		}
	}
	return ""
}
