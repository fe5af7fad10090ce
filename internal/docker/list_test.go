package docker

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
