//go:build !race

package stale

// underRace says that the race detector is on, with which SQLite is many times slower.
const underRace = false
