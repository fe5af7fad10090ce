package docker

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBlueprint: from an inspect to what is asked for again. What is not named here is kept as it was.
func TestBlueprint(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	const volume = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, tt := range []struct {
		name, config, host, mounts, networks string
		options                              RecreateOptions
		want, more                           string
	}{
		{
			name:   "fields that nobody knows stay",
			config: `{"Cmd":["x"],"Entrypoint":["/app"],"Future":{"a":1}}`, host: `{"FutureToo":[1],"ContainerIDFile":"/tmp/cid"}`,
			want: `{"Cmd":["x"],"Entrypoint":["/app"],"Future":{"a":1},"HostConfig":{"FutureToo":[1],"Binds":null,"Mounts":null}}`,
		},
		{
			name: "its own id is not its host name", config: `{"Hostname":"0123456789ab"}`,
			want: `{"HostConfig":{"Binds":null,"Mounts":null}}`,
		},
		{
			name: "a host name that was given stays", config: `{"Hostname":"web"}`,
			want: `{"Hostname":"web","HostConfig":{"Binds":null,"Mounts":null}}`,
		},
		{
			name: "no entrypoint is not the image's", config: `{"Cmd":["sh"],"Entrypoint":null}`,
			want: `{"Cmd":["sh"],"Entrypoint":[""],"HostConfig":{"Binds":null,"Mounts":null}}`,
		},
		{
			name:   "volumes by their names",
			host:   `{"Binds":["data:/data:ro","/bare"],"Mounts":[{"Type":"volume","Target":"/anon"},{"Type":"tmpfs","Target":"/mem"}],"Tmpfs":{"/fast":""},"VolumesFrom":["gone"]}`,
			mounts: `[{"Type":"volume","Name":"data","Destination":"/data","RW":false},{"Type":"volume","Name":"` + volume + `","Destination":"/anon","RW":true},{"Type":"volume","Name":"b","Destination":"/bare","RW":true},{"Type":"volume","Name":"c","Destination":"/image","Driver":"nfs","RW":true},{"Type":"bind","Source":"/srv","Destination":"/theirs","RW":false,"Propagation":"rprivate"},{"Type":"tmpfs","Destination":"/mem"}]`,
			want: `{"HostConfig":{"Binds":["data:/data:ro"],"Tmpfs":{"/fast":""},"Mounts":[{"Type":"volume","Source":"` + volume + `","Target":"/anon"},{"Type":"tmpfs","Target":"/mem"},
				{"Type":"volume","Source":"b","Target":"/bare"},{"Type":"volume","Source":"c","Target":"/image","VolumeOptions":{"DriverConfig":{"Name":"nfs"}}},{"Type":"bind","Source":"/srv","Target":"/theirs","ReadOnly":true,"BindOptions":{"Propagation":"rprivate"}}]}}`,
		},
		{
			name: "links as they are asked for", host: `{"Links":["/db:/web/db"]}`,
			want: `{"HostConfig":{"Links":["db:db"],"Binds":null,"Mounts":null}}`,
		},
		{
			name: "ports", host: `{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}}`,
			want: `{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]},"Binds":null,"Mounts":null}}`,
		},
		{
			name: "any ports", host: `{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}],"81/tcp":null}}`, options: RecreateOptions{AnyPort: true},
			want: `{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1"}],"81/tcp":null},"Binds":null,"Mounts":null}}`,
		},
		{
			name: "the network of another container", config: `{"Hostname":"x","ExposedPorts":{"80/tcp":{}}}`, host: `{"NetworkMode":"container:abc"}`, networks: `{}`,
			want: `{"HostConfig":{"NetworkMode":"container:abc","Binds":null,"Mounts":null}}`,
		},
		{
			name: "the host's network", host: `{"NetworkMode":"host"}`, networks: `{"host":{"NetworkID":"h"}}`,
			want: `{"HostConfig":{"NetworkMode":"host","Binds":null,"Mounts":null}}`, more: `{}`,
		},
		{
			name: "two networks, one after the other", host: `{"NetworkMode":"front"}`,
			networks: `{"back":{"NetworkID":"2","Aliases":["inner","0123456789ab"]},"front":{"NetworkID":"1","EndpointID":"e","IPAddress":"10.0.0.9","Gateway":"10.0.0.1","IPAMConfig":{"IPv4Address":"10.0.0.9"},"Aliases":["web"],"MacAddress":"02:00:00:00:00:01","DNSNames":["x"]}}`,
			want:     `{"HostConfig":{"NetworkMode":"front","Binds":null,"Mounts":null},"NetworkingConfig":{"EndpointsConfig":{"front":{"IPAMConfig":{"IPv4Address":"10.0.0.9"},"Aliases":["web"],"MacAddress":"02:00:00:00:00:01"}}}}`,
			more:     `{"back":{"Aliases":["inner"]}}`,
		},
		{
			name: "the engine's own network and another one", host: `{"NetworkMode":"default"}`,
			networks: `{"bridge":{"NetworkID":"1"},"front":{"NetworkID":"2","Aliases":["web"]}}`,
			want:     `{"HostConfig":{"NetworkMode":"default","Binds":null,"Mounts":null}}`, more: `{"front":{"Aliases":["web"]}}`,
		},
		{
			name: "the engine's own network came later", host: `{"NetworkMode":"front"}`, networks: `{"bridge":{"NetworkID":"1"},"front":{"NetworkID":"2"}}`,
			want: `{"HostConfig":{"NetworkMode":"front","Binds":null,"Mounts":null},"NetworkingConfig":{"EndpointsConfig":{"front":{}}}}`, more: `{"bridge":{}}`,
		},
		{
			name: "a network made anew knows nothing of the old one's addresses", host: `{"NetworkMode":"front"}`,
			networks: `{"front":{"IPAMConfig":{"IPv4Address":"10.0.0.9"},"Aliases":["web"]}}`, options: RecreateOptions{FreeAddress: []string{"front"}},
			want: `{"HostConfig":{"NetworkMode":"front","Binds":null,"Mounts":null},"NetworkingConfig":{"EndpointsConfig":{"front":{"Aliases":["web"]}}}}`, more: `{}`,
		},
		{
			name: "a mode that is an id", host: `{"NetworkMode":"77"}`, networks: `{"front":{"NetworkID":"77"}}`,
			want: `{"HostConfig":{"NetworkMode":"front","Binds":null,"Mounts":null},"NetworkingConfig":{"EndpointsConfig":{"front":{}}}}`, more: `{}`,
		},
		{
			name: "the first network is left out", host: `{"NetworkMode":"front"}`, networks: `{"back":{},"front":{}}`, options: RecreateOptions{SkipNetworks: []string{"front"}},
			want: `{"HostConfig":{"NetworkMode":"back","Binds":null,"Mounts":null},"NetworkingConfig":{"EndpointsConfig":{"back":{}}}}`, more: `{}`,
		},
		{
			name: "all networks are left out", host: `{"NetworkMode":"front"}`, networks: `{"front":{}}`, options: RecreateOptions{SkipNetworks: []string{"front"}},
			want: `{"HostConfig":{"NetworkMode":"bridge","Binds":null,"Mounts":null}}`,
		},
		{
			name: "podman's one word for all networks", host: `{"NetworkMode":"bridge"}`, networks: `{"front":{"NetworkID":"front"}}`,
			want: `{"HostConfig":{"NetworkMode":"front","Binds":null,"Mounts":null},"NetworkingConfig":{"EndpointsConfig":{"front":{}}}}`, more: `{}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inspect := `{"Id":"` + id + `","Config":` + orEmpty(tt.config) + `,"HostConfig":` + orEmpty(tt.host) + `,"Mounts":` + orNull(tt.mounts) +
				`,"NetworkSettings":{"Networks":` + orNull(tt.networks) + `}}`
			b, err := readBlueprint([]byte(inspect))
			if err != nil {
				t.Fatal(err)
			}
			tt.options.Image, tt.options.Labels = "img", map[string]string{"l": "1"}
			body, more, err := b.request(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			got := plainJSON(t, body)
			if got["Image"] != "img" || cmp.Diff(got["Labels"], map[string]any{"l": "1"}) != "" {
				t.Errorf("image %v, labels %v", got["Image"], got["Labels"])
			}
			delete(got, "Image")
			delete(got, "Labels")
			var want, wantMore map[string]any
			readJSON(t, tt.want, &want)
			readJSON(t, orNull(tt.more), &wantMore)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(wantMore, plainJSON(t, more)); tt.more != "" && diff != "" {
				t.Errorf("to connect to (-want +got)\n%s", diff)
			}
		})
	}
}

// TestBlueprintRefuses what is no inspect: nothing may be made of half of one.
func TestBlueprintRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": ``, "no JSON": `{`, "an empty one": `{}`, "a list": `[]`,
		"no configuration":      `{"Id":"x","HostConfig":{}}`,
		"no host configuration": `{"Id":"x","Config":{}}`,
	} {
		if b, err := readBlueprint([]byte(text)); err == nil {
			t.Errorf("%s: read as %+v", name, b)
		}
	}
	b, err := readBlueprint([]byte(`{"Id":"x","Config":{},"HostConfig":{"Binds":"all"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.request(RecreateOptions{}); err == nil {
		t.Error("binds that are no list were passed over")
	}
}

func orEmpty(text string) string {
	if text == "" {
		return "{}"
	}
	return text
}

func orNull(text string) string {
	if text == "" {
		return "null"
	}
	return text
}

func readJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func plainJSON(t *testing.T, v any) (out map[string]any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	readJSON(t, string(text), &out)
	return out
}
