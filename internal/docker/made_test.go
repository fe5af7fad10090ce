package docker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const madeFacts = `{"Id":"0123456789abcdef","Name":"/web","State":{"Running":true},"Config":{"Env":["PATH=/bin","A=1"],"Cmd":["serve"],"Entrypoint":["/app"],"User":"app","WorkingDir":"/srv/",
	"Hostname":"0123456789ab","StopTimeout":20,"StopSignal":"SIGINT","Labels":{"own":"yes","of-image":"x"},
	"Healthcheck":{"Test":["CMD","/check"],"Interval":5000000000,"Timeout":2000000000,"Retries":3}},
	"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3},"AutoRemove":true,"Privileged":true,"Memory":67108864,"MemorySwap":134217728,
	"CpuQuota":50000,"CapAdd":["CAP_NET_ADMIN","NET_ADMIN"],"CapDrop":["all"],"Dns":["10.0.0.1"],"PidMode":"host","IpcMode":"private","UTSMode":"host","ShmSize":67108864,
	"PidsLimit":90,"Tmpfs":{"/run":""},"Init":true,"ReadonlyRootfs":true,"SecurityOpt":["label=disable","no-new-privileges"],
	"Binds":["/srv/conf/:/conf:ro,rslave","data:/data","shared:/shared:rprivate,rbind"],"Ulimits":[{"Name":"nofile"},{"Name":"RLIMIT_NPROC"}],"Mounts":[{"Type":"volume","Source":"data","Target":"/data","VolumeOptions":{"Subpath":"inner"}}],
	"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":""}],"53/udp":[{"HostIp":"::","HostPort":"53"}]}},
	"Mounts":[{"Type":"volume","Name":"data","Source":"/var/lib/docker/volumes/data/_data","Destination":"/data","RW":true},
	{"Type":"bind","Source":"/srv/conf/","Destination":"/conf","Propagation":"rslave"},{"Type":"bind","Source":"/srv/auto","Destination":"/auto","RW":true,"Propagation":"rslave"},{"Type":"tmpfs","Destination":"/run","RW":true},{"Type":"tmpfs","Destination":"/scratch","RW":true}],
	"NetworkSettings":{"Networks":{"bridge":{},"shop_default":{"Aliases":["web","0123456789ab","inner"],"IPAMConfig":{"IPv4Address":"10.9.0.5"},"MacAddress":"02:42:0a:09:00:05"},"back":null}}}`

func TestMade(t *testing.T) {
	c := Container{ID: "0123456789abcdef", Raw: []byte(madeFacts)}
	got, err := c.Made(Defaults{
		Env: []string{"PATH=/bin"}, Command: []string{"run"}, Entrypoint: []string{"/app"}, Labels: map[string]string{"of-image": "x"}, WorkingDir: "/srv",
		Check: &Healthcheck{Test: []string{"CMD", "/check"}, Interval: time.Second, Timeout: 2 * time.Second, Retries: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	others := got.Others
	got.Others = nil
	want := Made{RemovedAtEnd: true, Setup: Setup{
		Name: "web", Env: []string{"A=1"}, Command: []string{"serve"}, User: "app", Labels: map[string]string{"own": "yes"}, Restart: "on-failure:3", StopGrace: 20,
		Ports: []Port{
			{Container: 53, Host: 53, HostIP: "::", Protocol: "udp"},
			{Container: 80, Host: 8080, HostIP: "0.0.0.0", Protocol: "tcp"},
			{Container: 80, HostIP: "127.0.0.1", Protocol: "tcp"},
		},
		Mounts:   []Mount{{Type: "bind", Source: "/srv/auto", Target: "/auto"}, {Type: "bind", Source: "/srv/conf", Target: "/conf", ReadOnly: true}, {Type: "volume", Name: "data", Source: "data", Target: "/data"}},
		Networks: []Attachment{{Network: "back"}, {Network: "shop_default", Aliases: []string{"inner"}}},
		Check:    &Healthcheck{Interval: 5 * time.Second}, Memory: 64 << 20, NanoCPUs: 500_000_000, Pids: 90, Init: true, ReadOnly: true,
		CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Privileged: true, HostPID: true,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	said := []string{
		"the stop signal SIGINT", "folders in memory at /run", "the UTS namespace of host", "the limits nofile", "the name servers 10.0.0.1",
		"the security options no-new-privileges", "the propagation rslave of /conf", "what is mounted at /scratch (tmpfs)",
		"that only inner of its volume is mounted at /data", "the address 10.9.0.5 in shop_default", "its place in the network bridge, beside the others",
	}
	slices.Sort(said)
	slices.Sort(others)
	if diff := cmp.Diff(said, others); diff != "" {
		t.Errorf("what else was asked for (-want +got):\n%s", diff)
	}
	if plain, err := (Container{Raw: []byte(`{"Id":"x","Config":{},"HostConfig":{}}`)}).Made(Defaults{}); err != nil || len(plain.Others) > 0 || plain.Restart != "no" {
		t.Errorf("of nothing: %+v, %v", plain, err)
	}
	for _, text := range []string{`x`, `{"Config":{},"HostConfig":{}}`, `{"Id":"x","Config":{}}`} {
		if _, err := (Container{Raw: []byte(text)}).Made(Defaults{}); err == nil {
			t.Errorf("what is no inspect was read: %s", text)
		}
	}
}

// The host's own network knows neither ports nor names, and what podman gives to each is not taken for asked for.
func TestMadeLeavesOutWhatMeansNothing(t *testing.T) {
	for name, facts := range map[string]string{
		"the host's network":   `{"Id":"x","Config":{},"HostConfig":{"NetworkMode":"host","PortBindings":{"80/tcp":[{"HostPort":"80"}]}},"NetworkSettings":{"Networks":{"host":{}}}}`,
		"podman's own limit":   `{"Id":"x","Config":{"Env":["container=podman"]},"HostConfig":{"PidsLimit":2048}}`,
		"podman's own folders": `{"Id":"x","Config":{"Env":["container=podman"]},"HostConfig":{"ReadonlyRootfs":true,"Tmpfs":{"/run":"","/tmp":"","/var/tmp":""}}}`,
		"no limit":             `{"Id":"x","Config":{},"HostConfig":{"PidsLimit":-1}}`,
	} {
		got, err := (Container{ID: "x", Raw: []byte(facts)}).Made(Defaults{})
		if err != nil || len(got.Ports) > 0 || len(got.Networks) > 0 || got.Pids != 0 || len(got.Others) > 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	asked, err := (Container{ID: "x", Raw: []byte(`{"Id":"x","Config":{},"HostConfig":{"PidsLimit":2048}}`)}).Made(Defaults{})
	if err != nil || asked.Pids != 2048 {
		t.Errorf("somebody asked for 2048: %+v, %v", asked, err)
	}
}

func TestProgram(t *testing.T) {
	words := strings.Fields
	for name, c := range map[string]struct {
		entrypoint, command, imageEntrypoint, imageCommand string
		wantEntrypoint, wantCommand                        string
	}{
		"all of the image":                          {"/app", "serve", "/app", "serve", "", ""},
		"another command":                           {"/app", "work", "/app", "serve", "", "work"},
		"the image's entrypoint, without a command": {"/app", "", "/app", "serve", "/app", ""},
		"an entrypoint, with the image's command":   {"/own", "serve", "/app", "serve", "/own", "serve"},
		"an entrypoint alone":                       {"/own", "", "/app", "serve", "/own", ""},
		"the image's entrypoint turned off":         {"", "sh -l", "/app", "serve", "sh", "-l"},
		"no entrypoint at all":                      {"", "sh -l", "", "serve", "", "sh -l"},
		"an image that is gone":                     {"/app", "serve", "", "", "/app", "serve"},
	} {
		entrypoint, command := program(
			Setup{Entrypoint: words(c.entrypoint), Command: words(c.command)}, Defaults{Entrypoint: words(c.imageEntrypoint), Command: words(c.imageCommand)},
		)
		if !slices.Equal(entrypoint, words(c.wantEntrypoint)) || !slices.Equal(command, words(c.wantCommand)) {
			t.Errorf("%s: %q %q", name, entrypoint, command)
		}
	}
}
