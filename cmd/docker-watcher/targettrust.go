package main

import (
	"github.com/spf13/cobra"
)

// targetTrust is what is said of the certificates of targets over https.
type targetTrust struct {
	ca     string
	verify bool
}

func (t *targetTrust) addTo(c *cobra.Command) {
	c.Flags().StringVar(&t.ca, "target-ca", "", "file with the certificate of the authority of targets over https, or with their own, as PEM; \"\": the authorities of the system")
	c.Flags().BoolVar(&t.verify, "target-tls-verify", true, "look at the certificates of targets over https; false takes any, so that who stands between can be the target")
}

// read is what was given of it.
func (t *targetTrust) read(c *cobra.Command) (ca *string, verify *bool, err error) {
	if c.Flags().Changed("target-ca") {
		text, err := readCA(t.ca)
		if err != nil {
			return nil, nil, usagef(c, "--target-ca: %w", err)
		}
		ca = &text
	}
	return ca, given(c, "target-tls-verify", &t.verify), nil
}
