package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestRows(t *testing.T) {
	const whole = `[
	 {"Id":"aa","Names":["/other/alias","/web"],"Image":"shop:1","ImageID":"sha256:1","Command":"","Created":1700000000,
	  "Ports":[{"PrivatePort":80}],"Labels":{"docker-watcher.managed":"true","quote":"a\"b\\\u00e9"},"State":"exited","Status":"Exited (0)",
	  "HostConfig":{"NetworkMode":"default"},"NetworkSettings":{"Networks":{}},"Mounts":[]},
	 {"Id":"bb","Names":null,"Image":"shop:1","Created":-62135596800,"Labels":null,"State":"stopped"},
	 {"Id":"cc","Names":["/x"],"State":"configured"}]`
	got, err := rows([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := []Summary{
		{ID: "aa", Name: "web", Image: "shop:1", State: StateExited, Created: time.Unix(1700000000, 0).UTC(), Labels: map[string]string{LabelManaged: "true", "quote": "a\"b\\é"}},
		{ID: "bb", Image: "shop:1", State: StateExited},
		{ID: "cc", Name: "x", State: StateCreated},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRowsOfABrokenAnswer(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":       "",
		"half a list":   `[{"Id":"aa","State":"exited"},{"Id":"bb"`,
		"not closed":    `[{"Id":"aa","State":"exited"}`,
		"a web page":    "<html>login</html>",
		"an error":      `{"message":"busy"}`,
		"a row without": `[{"Id":"aa"},{"State":"exited"}]`,
	} {
		got, err := rows([]byte(body))
		if err == nil {
			t.Errorf("%s: taken for the list %v", name, got)
			continue
		}
		if err := failure(t.Context(), "list", err); !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrEngine) {
			t.Errorf("%s: %v is neither unavailable nor failed", name, err)
		}
	}
}

func TestRowsOfNone(t *testing.T) {
	got, err := rows([]byte("[]\n"))
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// FuzzQuickRows: what the quick reader accepts, encoding/json reads the same (when it is JSON at all).
func FuzzQuickRows(f *testing.F) {
	f.Add([]byte(`[{"Id":"aa","Names":["/web"],"Created":1,"Labels":{"a":"b"},"State":"exited","Mounts":[{"x":"\"]"}],"n":-1.5e3}]`))
	f.Add([]byte(`[{"Id":"aa","Names":null,"Labels":null,"Ports":[[],{}],"t":true,"e":"a\\"}]`))
	f.Add([]byte(` [ ] `))
	f.Add([]byte(`[{"Id":"a\u0041"}]`))
	anyCase := regexp.MustCompile(`(?i)"(id|names|image|created|state|labels)"`)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, key := range anyCase.FindAllString(string(body), -1) {
			if !slices.Contains([]string{`"Id"`, `"Names"`, `"Image"`, `"Created"`, `"State"`, `"Labels"`}, key) {
				return // encoding/json takes it for ours; no engine writes it
			}
		}
		quick, ok := quickRows(body)
		var slow []row
		err := json.Unmarshal(body, &slow)
		if !ok || err != nil {
			return
		}
		if diff := cmp.Diff(slow, quick, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestQuickRowsIsUsed(t *testing.T) {
	if _, ok := quickRows(manyRows(3)); !ok {
		t.Error("an ordinary list is read the slow way")
	}
}

func manyRows(n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"Id":"%064x","Names":["/app-%d"],"Image":"127.0.0.1:5000/app:v%d","ImageID":"sha256:%064x","Command":"/app \"x\"","Created":1790000000,"Ports":[],"Labels":{"docker-watcher.managed":"true","docker-watcher.installation":"abcdefabcdef","docker-watcher.project":"p","docker-watcher.stage":"s","docker-watcher.instance":"i%d"},"State":"exited","Status":"Exited (0) 3 days ago","HostConfig":{"NetworkMode":"default"},"NetworkSettings":{"Networks":{"bridge":{"IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"MacAddress":"","DriverOpts":null}}},"Mounts":[]}`, i, i, i%20, i, i)
	}
	b.WriteString("]\n")
	return b.Bytes()
}

func BenchmarkRows(b *testing.B) {
	body := manyRows(10_000)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if got, err := rows(body); err != nil || len(got) != 10_000 {
			b.Fatal(len(got), err)
		}
	}
}
