package compose

import "strings"

// unsupported says of a key of a service why it does not come along, and what to do instead.
func unsupported(key string) (what, remedy string, kind Kind) {
	kind = Unsupported
	switch key {
	case "build", "dockerfile":
		return "nothing is built here", "push the image to a registry and name it under image:", kind
	case "env_file", "label_file":
		return "no file is read", "write its lines under environment: or labels:, or give them by --env-file", kind
	case "extends":
		return "no other file and no other service is read", "write out what it takes over", kind
	case "configs", "secrets", "credential_spec":
		return "files of this kind are not handed to containers", "put them on the host and mount them, or give them as a secret variable", kind
	case "depends_on", "links", "external_links":
		return "services are deployed by themselves, in no order", "let the program wait for what it needs; on one network they reach each other by name", kind
	case "container_name":
		return "each deploy makes a container with a name of its own", "give it an alias in a network instead", kind
	case "hostname", "domainname", "mac_address":
		return "it is left to the engine", "give it an alias in a network instead", kind
	case "tmpfs", "shm_size", "storage_opt", "volumes_from", "volume_driver":
		return "storage of this kind is not made here", "use a named volume", kind
	case "devices", "device_cgroup_rules", "gpus":
		return "no device of the host is handed over", "an admin can make the container privileged", kind
	case "ulimits", "sysctls", "oom_kill_disable", "oom_score_adj", "mem_reservation", "memswap_limit", "mem_swappiness", "cpu_count", "cpu_percent",
		"cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset", "blkio_config", "cgroup", "cgroup_parent":
		return "this limit is not set here", "limit memory, cpus and pids, or set it for all containers of the engine", kind
	case "dns", "dns_opt", "dns_search", "extra_hosts":
		return "names are looked up as the engine does", "set it for the engine, or use a network whose aliases have the name", kind
	case "security_opt", "userns_mode", "group_add", "uts", "isolation", "runtime", "umask", "use_api_socket":
		return "it is left as the engine has it", "set it for the engine", kind
	case "logging", "log_driver", "log_opt":
		return "logs are kept as the engine does", "set the log driver of the engine", kind
	case "stop_signal":
		return "the signal of the image is sent", "name it in the image (STOPSIGNAL)", kind
	case "tty", "stdin_open":
		return "nobody sits before the container", "take it out", kind
	case "profiles", "scale", "develop", "provider", "models", "annotations", "pre_start", "post_start", "pre_stop":
		return "it means nothing here", "take it out", kind
	case "platform":
		return "the platform of the engine is deployed", "deploy to a host of that platform", kind
	case "pull_policy", "pull_refresh_after":
		return "each deploy pulls the image", "", Told
	case "attach":
		return "it means nothing here", "", Told
	case "expose":
		return "what it listens on can be reached in its networks in any case", "", Told
	}
	if strings.HasPrefix(key, "x-") {
		return "an extension of somebody's own", "", Told
	}
	return "this key is not known", "take it out, or mend its name", kind
}
