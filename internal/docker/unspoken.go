package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// unspoken are the settings of an inspect, as the engine names them.
type unspoken struct{ Config, HostConfig map[string]json.RawMessage }

// others names what was asked for and nothing else in Made speaks of: engines have more settings than we know. Of what may hold
// a secret only the name is told.
func (u unspoken) others(podman bool) []string {
	said := slices.Concat(u.named(), u.ranges())
	for part, settings := range map[string]map[string]json.RawMessage{"Config": u.Config, "HostConfig": u.HostConfig} {
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			value := settings[name]
			if spokenOf(name) || isNothing(name, value) || podman && podmansOwn(name) {
				continue
			}
			said = append(said, "the setting "+part+"."+name+scalar(value))
		}
	}
	slices.Sort(said)
	return said
}

// named are those that people know by another name. Each engine has a runtime and a way to log of its own, which only its owner
// knows where they are none of the usual.
func (u unspoken) named() []string {
	var said []string
	if runtime := textOf(u.HostConfig["Runtime"]); !slices.Contains([]string{"", "runc", "crun", "oci", "io.containerd.runc.v2"}, runtime) {
		said = append(said, "the runtime "+runtime+", unless that is its engine's own")
	}
	var log struct{ Type string }
	if json.Unmarshal(u.HostConfig["LogConfig"], &log) == nil && !slices.Contains([]string{"", "json-file", "k8s-file", "journald"}, log.Type) {
		said = append(said, "the log driver "+log.Type+", unless that is its engine's own")
	}
	for name, words := range map[string]string{"DnsSearch": "the domains that names are looked for in:", "DnsOptions": "the options of the look for names:"} {
		var list []string
		if json.Unmarshal(u.HostConfig[name], &list) == nil && len(list) > 0 {
			said = append(said, words+" "+strings.Join(list, ", "))
		}
	}
	return said
}

// ranges are the ports of the host of which the engine was to choose one.
func (u unspoken) ranges() []string {
	var bindings map[string][]struct{ HostPort string }
	if textOf(u.HostConfig["NetworkMode"]) == "host" || json.Unmarshal(u.HostConfig["PortBindings"], &bindings) != nil {
		return nil
	}
	var said []string
	for port, hosts := range bindings {
		for _, h := range hosts {
			if _, err := strconv.Atoi(h.HostPort); err != nil && h.HostPort != "" {
				said = append(said, fmt.Sprintf("that port %s is published at one of %s: any free one is taken", port, h.HostPort))
			}
		}
	}
	return said
}

// spokenOf reports whether a setting is in Setup, is said in words of its own, or says nothing of the next container: where its
// output went, what it was built by, and what engines fill in each in its own way.
func spokenOf(name string) bool {
	switch name {
	case "Hostname", "Domainname", "User", "Env", "Cmd", "Healthcheck", "Image", "WorkingDir", "Entrypoint", "Labels", "StopSignal", "StopTimeout", "Tty", "OpenStdin",
		"AutoRemove", "Binds", "CapAdd", "CapDrop", "CpuPeriod", "CpuQuota", "CpuShares", "CpusetCpus", "DeviceRequests", "Devices", "Dns", "DnsOptions", "DnsSearch",
		"ExtraHosts", "GroupAdd", "Init", "IpcMode", "Links", "LogConfig", "Memory", "MemoryReservation", "MemorySwap", "Mounts", "NanoCpus", "NetworkMode", "OomKillDisable",
		"PidMode", "PidsLimit", "PortBindings", "Privileged", "PublishAllPorts", "ReadonlyRootfs", "RestartPolicy", "Runtime", "SecurityOpt", "ShmSize", "Sysctls", "Tmpfs",
		"UTSMode", "Ulimits", "UsernsMode", "VolumesFrom":
		return true
	case "AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce", "ConsoleSize", "ContainerIDFile",
		"ArgsEscaped", "ExposedPorts", "OnBuild", "Shell", "Volumes",
		"CgroupnsMode", "MaskedPaths", "ReadonlyPaths":
		return true
	}
	return false
}

// podmansOwn reports whether podman itself fills in a setting.
func podmansOwn(name string) bool { return name == "Annotations" || name == "CgroupParent" }

// isNothing reports whether a value is none, or stands for what is not set.
func isNothing(name string, value json.RawMessage) bool {
	switch strings.Join(strings.Fields(string(value)), "") {
	case "", "null", "false", "0", `""`, `"default"`, "[]", "{}":
		return true
	case "-1":
		return name != "OomScoreAdj"
	}
	return false
}

// scalar is a value that is short and no secret, to be put after its name.
func scalar(value json.RawMessage) string {
	var number json.Number
	if json.Unmarshal(value, &number) == nil && value[0] != '"' {
		return " (" + number.String() + ")"
	}
	return ""
}
