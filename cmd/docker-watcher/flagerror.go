package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// plainFlagError says in plain words what a flag takes whose value cannot be read.
func plainFlagError(_ *cobra.Command, err error) error {
	number, ok := errors.AsType[*strconv.NumError](err)
	if !ok {
		return err
	}
	wanted := "a whole number is wanted, without a unit"
	switch {
	case number.Func == "ParseBool":
		wanted = "true or false is wanted"
	case number.Func == "ParseFloat":
		wanted = "a number is wanted"
	case errors.Is(number, strconv.ErrRange):
		wanted = "the number is too large"
	}
	what, _, _ := strings.Cut(err.Error(), ": strconv.")
	return fmt.Errorf("%s: %s", what, wanted)
}
