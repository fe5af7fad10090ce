package main

import (
	"strings"
	"testing"
)

func TestAFlagThatCannotBeReadSaysWhatItTakes(t *testing.T) {
	for line, want := range map[string]string{
		"notify rule add x --channel ops --gather 2s":                    `"--gather" flag: a whole number is wanted, without a unit`,
		"notify rule add x --channel ops --gather-errors=perhaps":        `"--gather-errors" flag: true or false is wanted`,
		"proxy add a.test http://10.0.0.5 --hsts 1y":                     `"--hsts" flag: a whole number is wanted`,
		"proxy add a.test http://10.0.0.5 --hsts 9999999999999999999999": `"--hsts" flag: the number is too large`,
		"proxy add a.test http://10.0.0.5 --nope":                        "unknown flag: --nope",
		"proxy add a.test https://10.0.0.5 --target-ca nope.pem":         "--target-ca: open nope.pem",
	} {
		a, _, complaint := newApp(t, "")
		if code := a.run(t.Context(), strings.Fields(line)); code != exitUsage || !strings.Contains(complaint.String(), want) || strings.Contains(complaint.String(), "strconv") {
			t.Errorf("%s: exit code %d, it says %q", line, code, complaint)
		}
	}
}
