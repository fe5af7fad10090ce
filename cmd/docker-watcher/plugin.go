package main

import "slices"

const (
	pluginMetadataCommand = "docker-cli-plugin-metadata"
	pluginName            = "watcher"
	// pluginEnv is set by the docker client when it runs a plugin.
	pluginEnv = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"
)

// pluginMetadata is what the docker client asks every plugin for.
type pluginMetadata struct {
	SchemaVersion    string `json:"SchemaVersion"`
	Vendor           string `json:"Vendor"`
	Version          string `json:"Version"`
	ShortDescription string `json:"ShortDescription"`
	URL              string `json:"URL,omitempty"`
}

func metadata(version string) pluginMetadata {
	return pluginMetadata{
		SchemaVersion: "0.1.0", Vendor: "tiny-forge", Version: version,
		ShortDescription: "Deploy containers, and clean up those that have been dead for days",
		URL:              "https://github.com/tiny-forge/docker-watcher",
	}
}

// pluginArgs takes away what the docker client puts before our own arguments: its global flags, which are about
// an engine and not about us, and the plugin's name. It also asks `docker help watcher`
// and for completion in that form.
func pluginArgs(args []string, getenv func(string) string) ([]string, bool) {
	if len(args) > 0 && args[0] == pluginMetadataCommand {
		return args[:1], true
	}
	at := slices.Index(args, pluginName)
	if at < 0 || at > 0 && getenv(pluginEnv) == "" {
		return args, false
	}
	rest := args[at+1:]
	if at > 0 {
		switch args[0] {
		case "help", "__complete", "__completeNoDesc":
			return append([]string{args[0]}, rest...), true
		}
	}
	return rest, true
}
