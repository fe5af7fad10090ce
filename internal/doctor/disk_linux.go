package doctor

import (
	"math"
	"syscall"
)

// FreeIn is how many bytes are free on the disk of a folder, as df says: what is held back for root is not for
// others. -1: not known.
func FreeIn(folder string) int64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil || disk.Bsize <= 0 || disk.Bavail > math.MaxInt64/uint64(disk.Bsize) {
		return -1
	}
	return int64(disk.Bavail) * int64(disk.Bsize)
}
