package deploy

import (
	"path"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Dangerous says, for each option of a spec that gives the container power over its host, what that
// option is; empty for a harmless spec. Such a spec needs an admin.
func Dangerous(s store.Spec) []string {
	why := powers(s.Power)
	for _, m := range s.Mounts {
		if !path.IsAbs(m.Source) {
			continue
		}
		switch src := path.Clean(m.Source); {
		case src == "/":
			why = append(why, "it mounts the host's root folder")
		case powerful(src):
			why = append(why, "it mounts "+src+" of the host")
		}
	}
	return why
}

// powers says what of the host an explicit option hands over.
func powers(p store.Power) []string {
	var why []string
	for _, one := range []struct {
		has  bool
		what string
	}{
		{p.Privileged, "it is privileged"},
		{p.HostNetwork, "it uses the host's network"},
		{p.HostPID, "it sees the host's processes"},
		{p.HostIPC, "it shares the host's memory segments and queues"},
	} {
		if one.has {
			why = append(why, one.what)
		}
	}
	for _, name := range p.CapAdd {
		why = append(why, "it gets the capability "+name)
	}
	return why
}

var (
	// hostFolders belong to the host itself: one file of theirs (/etc/cron.d, /root/.ssh) is enough to rule it.
	hostFolders = []string{
		"/etc", "/root", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/dev", "/proc", "/sys", "/run", "/var/run",
		"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/spool",
	}
	// hostParents hold such folders beside harmless ones.
	hostParents   = []string{"/var", "/var/lib", "/home"}
	engineSockets = []string{"docker.sock", "podman.sock", "containerd.sock"}
)

func powerful(folder string) bool {
	if slices.Contains(hostParents, folder) || slices.Contains(engineSockets, path.Base(folder)) || path.Base(folder) == ".ssh" {
		return true
	}
	return slices.ContainsFunc(hostFolders, func(f string) bool { return folder == f || strings.HasPrefix(folder, f+"/") })
}
