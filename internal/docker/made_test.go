package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const madeFacts = `{"Id":"0123456789abcdef","Config":{"Env":["PATH=/bin","A=1"],"Cmd":["serve"],"Entrypoint":["/app"],"User":"app","WorkingDir":"/srv/",
	"Hostname":"0123456789ab","StopTimeout":20,"StopSignal":"SIGINT","Labels":{"own":"yes","of-image":"x"}},
	"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3},"AutoRemove":true,"Privileged":true,"Memory":1048576,
	"CapAdd":["NET_ADMIN"],"Dns":["10.0.0.1"],"PidMode":"host","IpcMode":"private","ShmSize":67108864,"PidsLimit":null,"Tmpfs":{"/run":""},
	"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":""}],"53/udp":[{"HostIp":"::","HostPort":"53"}]}}}`

func TestMade(t *testing.T) {
	c := Container{ID: "0123456789abcdef", Raw: []byte(madeFacts), Networks: map[string]string{"bridge": "", "shop_default": "", "back": ""}}
	got, err := c.Made(Defaults{
		Env: []string{"PATH=/bin"}, Command: []string{"run"}, Entrypoint: []string{"/app"}, Labels: map[string]string{"of-image": "x"}, WorkingDir: "/srv",
	})
	if err != nil {
		t.Fatal(err)
	}
	others := strings.Join(got.Others, "\n")
	got.Others = nil
	want := Made{
		Env: []string{"A=1"}, Command: []string{"serve"}, Labels: map[string]string{"own": "yes"}, Restart: "on-failure:3", StopGrace: 20 * time.Second,
		Ports: []Port{
			{Container: 53, Host: 53, HostIP: "::", Protocol: "udp"},
			{Container: 80, Host: 8080, HostIP: "0.0.0.0", Protocol: "tcp"},
			{Container: 80, HostIP: "127.0.0.1", Protocol: "tcp"},
		},
		Networks: []string{"back", "shop_default"}, RemovedAtEnd: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, word := range []string{`the user "app"`, "SIGINT", "privileged", "NET_ADMIN", "10.0.0.1", "process namespace of host", "a limit of 1 MiB of memory", "/run"} {
		if !strings.Contains(others, word) {
			t.Errorf("nothing is said of %s:\n%s", word, others)
		}
	}
	for _, word := range []string{"working folder", "entrypoint", "host name", "IPC", "shared memory", "limit of processes"} {
		if strings.Contains(others, word) {
			t.Errorf("what nobody asked for is said, %s:\n%s", word, others)
		}
	}
	if plain, err := (Container{Raw: []byte(`{"Config":{},"HostConfig":{}}`)}).Made(Defaults{}); err != nil || len(plain.Others) > 0 || plain.Restart != "no" {
		t.Errorf("of nothing: %+v, %v", plain, err)
	}
	if _, err := (Container{Raw: []byte(`x`)}).Made(Defaults{}); err == nil {
		t.Error("what is no inspect was read")
	}
}
