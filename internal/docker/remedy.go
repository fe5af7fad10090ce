package docker

import "errors"

// Remedy says what a person can do about an engine that cannot be used for a reason that lies with this machine or with its age, whatever
// asked it. Empty: the error says nothing of that kind.
func Remedy(err error) string {
	switch {
	case errors.Is(err, ErrSocketRights):
		return "the engine need not be started: let the user that docker-watcher runs as use its socket (usermod -aG docker NAME; in a container --group-add with the number of the socket's group) and start docker-watcher anew; whoever may use it is root on that machine"
	case errors.Is(err, ErrTooOld):
		return "the engine need not be started: upgrade it (docker 19.03 or newer, podman 4 or newer), or give another"
	}
	return ""
}
