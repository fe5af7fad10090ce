package dockertest

import (
	"net/http"
	"time"
)

func (e *Engine) servePing(w http.ResponseWriter, r *request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		// A client that went away cannot be told.
		_, _ = w.Write([]byte("OK"))
	}
}

func (e *Engine) serveVersion(w http.ResponseWriter) {
	e.mu.Lock()
	o := e.o
	e.mu.Unlock()
	name := "Engine"
	if o.podman() {
		name = "Podman Engine"
	}
	e.answerJSON(w, http.StatusOK, map[string]any{
		"Platform": map[string]string{"Name": ""},
		"Components": []any{map[string]any{
			"Name": name, "Version": o.Version,
			"Details": map[string]string{"ApiVersion": o.APIVersion, "MinAPIVersion": o.MinAPIVersion, "Arch": "amd64", "Os": "linux"},
		}},
		"Version": o.Version, "ApiVersion": o.APIVersion, "MinAPIVersion": o.MinAPIVersion,
		"GitCommit": "", "GoVersion": "go1.26", "Os": "linux", "Arch": "amd64", "KernelVersion": "6.1", "BuildTime": "",
	})
}

func (e *Engine) serveInfo(w http.ResponseWriter) {
	e.mu.Lock()
	o := e.o
	count := map[string]int{}
	for _, c := range e.byID {
		count[c.state]++
	}
	total, images, now := len(e.byID), len(e.images), e.now()
	id := o.EngineID
	if o.podman() {
		id = e.newID("info") // podman makes up another one for each answer
	}
	e.mu.Unlock()
	driver := [][2]string{{"Backing Filesystem", "extfs"}}
	if o.Free != "" {
		driver = append(driver, [2]string{"Data Space Available", o.Free})
	}
	e.answerJSON(w, http.StatusOK, map[string]any{
		"ID": id, "Name": o.Name, "ServerVersion": o.Version, "DockerRootDir": o.DataRoot,
		"Driver": "overlay2", "DriverStatus": driver, "OSType": "linux", "Architecture": "x86_64", "OperatingSystem": "Pretend",
		"LiveRestoreEnabled": o.LiveRestore, "SystemTime": now.Format(time.RFC3339Nano),
		"Containers": total, "ContainersRunning": count[Running], "ContainersPaused": count[Paused],
		"ContainersStopped": total - count[Running] - count[Paused], "Images": images,
		"NCPU": 2, "MemTotal": int64(24) << 30, "CgroupDriver": "cgroupfs", "CgroupVersion": "1",
		"RegistryConfig": map[string]any{}, "Swarm": map[string]any{"LocalNodeState": "inactive"},
	})
}
