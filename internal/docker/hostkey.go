package docker

import (
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
)

// UnknownHostKey is shown by an ssh server that nobody has said yes to yet; nothing of ours was shown to it.
type UnknownHostKey struct {
	Line        string // as SSH.HostKey wants it
	Fingerprint string // SHA256:...
}

func (u *UnknownHostKey) Error() string {
	return "the ssh server's key is not known yet; its fingerprint is " + u.Fingerprint
}

// Unwrap says what kind of error it is.
func (u *UnknownHostKey) Unwrap() error { return ErrUntrusted }

// Fingerprint of a line as SSH.HostKey has it; empty when it is none.
func Fingerprint(line string) string {
	key, err := readHostKey(line)
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(key)
}

// HostKeyLine brings a key as people have it (with names before it or a comment behind) into the form of SSH.HostKey.
func HostKeyLine(text string) (string, error) {
	key, err := readHostKey(text)
	if err != nil {
		return "", err
	}
	return lineOf(key), nil
}

func lineOf(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func readHostKey(text string) (ssh.PublicKey, error) {
	if strings.ContainsAny(strings.TrimSpace(text), "\r\n") {
		return nil, Misfit{fieldHostKey, "one key is expected, on one line"}
	}
	if key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(text)); err == nil && len(rest) == 0 {
		return key, nil
	}
	if marker, _, key, _, _, err := ssh.ParseKnownHosts([]byte(text)); err == nil && marker == "" {
		return key, nil
	}
	return nil, Misfit{fieldHostKey, "it is no public key, such as ssh-ed25519 AAAA..."}
}

// hostKeyCheck accepts the one key that is known, by its bytes.
func hostKeyCheck(known ssh.PublicKey) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, shown ssh.PublicKey) error {
		switch {
		case known == nil:
			return &UnknownHostKey{Line: lineOf(shown), Fingerprint: ssh.FingerprintSHA256(shown)}
		case string(known.Marshal()) != string(shown.Marshal()):
			return &refusedWay{
				ErrUntrusted, fmt.Sprintf("the ssh server shows another key than the known one: %s, not %s. Somebody may be on the way, or it was set up anew",
					ssh.FingerprintSHA256(shown), ssh.FingerprintSHA256(known)), errOtherKey,
			}
		}
		return nil
	}
}

var errOtherKey = fmt.Errorf("%w: another host key", ErrUntrusted)

// hostKeyAlgorithms has the server show the key that is known, for it may have several. One that nobody knows is to show a
// plain key: a certificate of it ends one day, and the key's fingerprint on the host itself is not that of the certificate.
func hostKeyAlgorithms(known ssh.PublicKey) []string {
	switch {
	case known == nil:
		return []string{
			ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
		}
	case known.Type() == ssh.KeyAlgoRSA:
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{known.Type()}
}
