//go:build race

package poll

// underRace says that the race detector is on, with which SQLite is many times slower.
const underRace = true
