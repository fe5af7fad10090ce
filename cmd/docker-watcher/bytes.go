package main

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

var (
	bytesForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([KMGTkmgt]i?)?B?$`)
	binary    = []string{"KiB", "MiB", "GiB", "TiB"}
)

// parseBytes reads a number of bytes: 1073741824, 1GiB, 1.5 GB or 500M, decimal units too.
func parseBytes(text string) (int64, error) {
	m := bytesForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is no number of bytes: such as 1GiB, 500MiB or 1073741824", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number of bytes: %w", text, err)
	}
	if unit := strings.ToLower(m[2]); unit != "" {
		base := 1000.0
		if strings.HasSuffix(unit, "i") {
			base = 1024
		}
		n *= math.Pow(base, float64(1+strings.Index("kmgt", unit[:1])))
	}
	if n >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is more bytes than there are", text)
	}
	return int64(math.Round(n)), nil
}

// bytesText writes whole KiB to TiB as such, and everything else as sizes are written elsewhere.
func bytesText(n int64) string {
	for i, name := range slices.Backward(binary) {
		if unit := int64(1) << (10 * (i + 1)); n >= unit && n%unit == 0 {
			return fmt.Sprintf("%d %s", n/unit, name)
		}
	}
	return screen.Bytes(n)
}
