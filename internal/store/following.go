package store

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// Mode says what becomes of a tag that is ready for a stage.
type Mode string

// The modes.
const (
	ModeManual Mode = "manual" // it is shown, and somebody deploys it
	ModeNotify Mode = "notify" // one event tells of it, and somebody deploys it
	ModeAuto   Mode = "auto"   // it is deployed
)

// The names of the parts of a stage that say how it follows its registry, and their bounds.
const (
	stageRule = "tag_rule"
	stageMode = "mode"
	stageAge  = "min_image_age"
	stagePoll = "poll_interval"

	maxImageAge = 365 * day
	minPoll     = 30 * time.Second
	maxPoll     = 7 * day

	ageReason  = `must be a duration from 0s to 365d, such as "36h" or "7d"`
	pollReason = `must be a duration from 30s to 7d, such as "5m" or "1h"`
)

// mode is the one in force.
func (s *Stage) mode() Mode { return cmp.Or(s.Mode, ModeManual) }

// ValidFollowing reports every wrong part of how a stage follows its registry, by its API name.
func (s *Stage) ValidFollowing() error {
	var errs []error
	if s.TagRule != nil {
		errs = append(errs, ruleErrors(s.TagRule.Validate())...)
	}
	switch s.mode() {
	case ModeManual:
	case ModeNotify, ModeAuto:
		if s.TagRule == nil {
			errs = append(errs, FieldError{stageMode, fmt.Sprintf("%s needs a tag rule: say which tags the stage follows, or make it manual", s.Mode)})
		}
	default:
		errs = append(errs, FieldError{stageMode, "must be auto, notify or manual"})
	}
	if s.MinImageAge < 0 || s.MinImageAge > maxImageAge || s.MinImageAge%time.Second != 0 {
		errs = append(errs, FieldError{stageAge, ageReason})
	}
	if s.PollInterval != 0 && (s.PollInterval < minPoll || s.PollInterval > maxPoll || s.PollInterval%time.Second != 0) {
		errs = append(errs, FieldError{stagePoll, pollReason})
	}
	return errors.Join(errs...)
}

// ruleErrors are the wrong parts of a rule under the name that the rule has in a stage.
func ruleErrors(err error) (errs []error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			errs = append(errs, ruleErrors(one)...)
		}
		return errs
	}
	if wrong, ok := errors.AsType[tagrule.FieldError](err); ok {
		return []error{FieldError{stageRule + "." + wrong.Field, wrong.Reason}}
	}
	if err != nil {
		errs = append(errs, FieldError{stageRule, err.Error()})
	}
	return errs
}

// ParseImageAge reads how old an image must be: 0s, 36h, 7d.
func ParseImageAge(text string) (time.Duration, error) {
	d, err := parseSpan(text)
	if err != nil || d > maxImageAge {
		return 0, errors.New(ageReason)
	}
	return d, nil
}

// ParsePollInterval reads how often a registry is asked: 30s, 5m, 1h.
func ParsePollInterval(text string) (time.Duration, error) {
	d, err := parseSpan(text)
	if err != nil || d < minPoll || d > maxPoll {
		return 0, errors.New(pollReason)
	}
	return d, nil
}

// SpanText is the text that those read.
func SpanText(d time.Duration) string { return spanText(d) }

// ruleText is how a rule is kept; empty: none.
func ruleText(r *tagrule.Rule) (string, error) {
	if r == nil {
		return "", nil
	}
	return jsonOf("write a tag rule", r)
}
