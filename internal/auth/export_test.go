package auth

import "time"

// Cheap has passwords hashed at next to no cost, for tests that are not about that.
func (s *Service) Cheap() *Service {
	s.hasher.memory = 64
	return s
}

// CodeAt is the code of a second factor at a moment.
func CodeAt(secret []byte, now time.Time) string {
	return hotp(secret, uint64(stepOf(now)), codeDigits)
}
