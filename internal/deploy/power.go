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
	return append(powers(s.Power), binds(s.Mounts, powerful)...)
}

// HostAccess is Dangerous with every folder of the host: what is harmless to whoever chose the folder need not be so to whoever
// did not. A root process that writes into any folder can leave a program there that makes its caller root.
func HostAccess(s store.Spec) []string {
	return append(powers(s.Power), binds(s.Mounts, func(string) bool { return true })...)
}

// Beyond are those of the reasons that a rule finds in a spec and not in the former one, which an admin has said yes to. What could
// be written to there may be read as well.
func Beyond(rule func(store.Spec) []string, spec, former store.Spec) []string {
	read := former
	read.Mounts = slices.Clone(former.Mounts)
	for i := range read.Mounts {
		read.Mounts[i].ReadOnly = true
	}
	approved := append(rule(former), rule(read)...)
	return slices.DeleteFunc(rule(spec), func(why string) bool { return slices.Contains(approved, why) })
}

// binds says which folders of the host that count are mounted, and how.
func binds(mounts []store.Mount, counts func(folder string) bool) []string {
	var why []string
	for _, m := range mounts {
		if !path.IsAbs(m.Source) {
			continue
		}
		src := path.Clean(m.Source)
		what := "it mounts " + src + " of the host"
		if src == "/" {
			what = "it mounts the host's root folder"
		} else if !counts(src) {
			continue
		}
		if !m.ReadOnly {
			what += " to write"
		}
		why = append(why, what)
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
		"/home", // of people, whose keys and shells are there
	}
	// hostParents hold such folders beside harmless ones.
	hostParents   = []string{"/var", "/var/lib"}
	engineSockets = []string{"docker.sock", "podman.sock", "containerd.sock"}
)

func powerful(folder string) bool {
	if slices.Contains(hostParents, folder) || slices.Contains(engineSockets, path.Base(folder)) || path.Base(folder) == ".ssh" {
		return true
	}
	return slices.ContainsFunc(hostFolders, func(f string) bool { return folder == f || strings.HasPrefix(folder, f+"/") })
}
