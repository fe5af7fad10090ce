//go:build !race

package poll

const underRace = false
