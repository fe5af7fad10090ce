package docker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever was asked for is told, known to us or not; what engines fill in by themselves is not.
func TestMadeTellsAllThatWasAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		config, host string
		want         []string
	}{
		"nothing, on docker": {
			`"Hostname":"0123456789ab","AttachStdout":true,"AttachStderr":true,"Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{}},"Shell":["/bin/sh"]`,
			`"LogConfig":{"Type":"json-file","Config":{}},"NetworkMode":"default","RestartPolicy":{"Name":"no"},"CgroupnsMode":"host","IpcMode":"private","ShmSize":67108864,
			"Runtime":"runc","ConsoleSize":[0,0],"MaskedPaths":["/proc/kcore"],"ReadonlyPaths":["/proc/sys"],"OomScoreAdj":0,"BlkioWeightDevice":[],"MemorySwappiness":-1,"Isolation":"default","Cgroup":""`,
			nil,
		},
		"nothing, on podman": {
			`"Hostname":"0123456789ab","Env":["container=podman"],"StopSignal":"15"`,
			`"LogConfig":{"Type":"k8s-file","Config":null},"NetworkMode":"bridge","IpcMode":"shareable","PidMode":"private","UTSMode":"private","ShmSize":65536000,"Runtime":"oci",
			"CgroupParent":"machine.slice","Annotations":{"io.container.manager":"libpod"},"Ulimits":[{"Name":"RLIMIT_NOFILE"}]`,
			nil,
		},
		"a range of ports":      {``, `"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8000-8010"}]}`, []string{"that port 80/tcp is published at one of 8000-8010: any free one is taken"}},
		"but not in the host's": {``, `"NetworkMode":"host","PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8000-8010"}]}`, nil},
		"nor any free one":      {``, `"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":""}],"81/tcp":[{"HostPort":"8081"}]}`, nil},
		"how it logs":           {``, `"LogConfig":{"Type":"none","Config":{}}`, []string{"the log driver none, unless that is its engine's own"}},
		"its runtime":           {``, `"Runtime":"runsc"`, []string{"the runtime runsc, unless that is its engine's own"}},
		"how names are looked for": {
			``, `"DnsSearch":["corp.example"],"DnsOptions":["ndots:1"]`,
			[]string{"the domains that names are looked for in: corp.example", "the options of the look for names: ndots:1"},
		},
		"settings without words": {
			`"NetworkDisabled":true,"MacAddress":"02:42:ac:11:00:02"`,
			`"OomScoreAdj":-1,"CgroupParent":"batch.slice","BlkioWeight":300,"BlkioDeviceReadBps":[{"Path":"/dev/sda","Rate":1}],"MemorySwappiness":10`,
			[]string{
				"the setting Config.MacAddress", "the setting Config.NetworkDisabled", "the setting HostConfig.BlkioDeviceReadBps", "the setting HostConfig.BlkioWeight (300)",
				"the setting HostConfig.CgroupParent", "the setting HostConfig.MemorySwappiness (10)", "the setting HostConfig.OomScoreAdj (-1)",
			},
		},
		"one of tomorrow, whose values are not told": {``, `"Vault":{"token":"s3cret"}`, []string{"the setting HostConfig.Vault"}},
	} {
		raw := `{"Id":"0123456789abcdef","Config":{` + c.config + `},"HostConfig":{` + c.host + `}}`
		got, err := (Container{ID: "0123456789abcdef", Raw: []byte(raw)}).Made(Defaults{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got.Others); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.Contains(strings.Join(got.Others, " "), "s3cret") {
			t.Error("a value is told that may be a secret")
		}
	}
}
