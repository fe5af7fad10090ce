package backup

import "golang.org/x/sys/unix"

// mounted tells whether something is mounted at a name, which can then not be renamed. Linux before 5.8 does not tell: no.
func mounted(name string) bool {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, 0, &s)
	return err == nil && s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
