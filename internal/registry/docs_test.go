package registry

import (
	"os"
	"strings"
	"testing"
)

// TestDocumented keeps docs/registries.md whole: each preset with what it says to write, each class.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/registries.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, p := range Presets() {
		words = append(words, p.Kind, p.Host, p.Username)
	}
	for _, class := range []Class{
		ClassUnauthorized, ClassNotFound, ClassRateLimited, ClassUnreachable, ClassCertificate, ClassPlainHTTP, ClassNotRegistry, ClassBroken,
	} {
		words = append(words, string(class))
	}
	for _, word := range words {
		if word != "" && !strings.Contains(string(text), "`"+word+"`") {
			t.Errorf("docs/registries.md does not say %s", word)
		}
	}
}
