package docker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
)

func TestOwnChanges(t *testing.T) {
	read := func(text string) (all []container.FilesystemChange) {
		kinds := map[string]container.ChangeType{"A": container.ChangeAdd, "C": container.ChangeModify, "D": container.ChangeDelete}
		for one := range strings.FieldsSeq(text) {
			all = append(all, container.FilesystemChange{Kind: kinds[one[:1]], Path: one[1:]})
		}
		return all
	}
	for _, tt := range []struct {
		name, changes, mounts, want string
	}{
		{"nothing", "", "", ""},
		{"a file", "A/x", "", "/x"},
		{"a file in a folder of the image", "C/srv A/srv/x", "", "/srv/x"},
		{"a folder whose mode was changed", "C/srv", "", "/srv"},
		{"a file that is gone", "C/srv D/srv/x", "", "/srv/x"},
		{"a new folder", "A/new A/new/x", "", "/new /new/x"},
		{"the engine's files", "C/etc A/etc/hosts C/etc/hostname A/etc/resolv.conf A/etc/mtab A/.dockerenv C/run A/run/.containerenv", "", ""},
		{"podman's /etc", "A/etc", "", ""},
		{"devices", "C/dev A/dev/console A/dev/shm A/proc A/sys", "", ""},
		{"not only the engine's", "C/etc C/etc/hosts C/etc/passwd", "", "/etc/passwd"},
		{"what only begins like one of those", "A/devices A/etc/hosts.allow", "", "/devices /etc/hosts.allow"},
		{"a mount point and the way there", "A/deep A/deep/down A/deep/down/kept", "/deep/down/kept", ""},
		{"beside a mount point", "A/deep A/deep/x A/deep/kept", "/deep/kept", "/deep/x"},
		{"a mount point written with a slash", "A/kept", "/kept/", ""},
		{"the folder of a mount point taken away", "D/deep", "/deep/kept", "/deep"},
	} {
		got := ownChanges(read(tt.changes), strings.Fields(tt.mounts))
		if want := strings.Fields(tt.want); !slices.Equal(got.Paths, want) || got.Count != len(want) {
			t.Errorf("%s: %+v, want %v", tt.name, got, want)
		}
	}
}

func TestOwnChangesAreCutNotLost(t *testing.T) {
	var all []container.FilesystemChange
	for i := range 1000 {
		all = append(all, container.FilesystemChange{Kind: container.ChangeAdd, Path: fmt.Sprintf("/f%04d", 999-i)})
	}
	if got := ownChanges(all, nil); got.Count != 1000 || len(got.Paths) != changedPaths || got.Paths[0] != "/f0000" {
		t.Errorf("%d, %v", got.Count, got.Paths)
	}
}
