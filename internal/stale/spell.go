package stale

import "fmt"

// spellBytes writes a size in binary units and three digits, as the page and the command line do.
func spellBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, u := range [...]string{"KiB", "MiB", "GiB", "TiB"} {
		f, unit = f/(1<<10), u
		if f < 1023.5 {
			break
		}
	}
	switch {
	case f < 9.995:
		return fmt.Sprintf("%.2f %s", f, unit)
	case f < 99.95:
		return fmt.Sprintf("%.1f %s", f, unit)
	default:
		return fmt.Sprintf("%.0f %s", f, unit)
	}
}
