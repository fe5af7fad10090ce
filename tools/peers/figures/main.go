// Command figures reads the Grafana dashboard and the alert rules of packaging/ by Grafana's and Prometheus' own code, for the tests of internal/api.
//
// It takes questions as JSON, one array on standard input, and answers each in the same order with all that is wrong: a dashboard is read
// strictly by Grafana's schema (grafana-foundation-sdk, which is generated from it), panels and queries included; rules as promtool does; queries by
// Prometheus' parser.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// question holds one of them.
type question struct {
	Dashboard json.RawMessage `json:"dashboard"`
	Rules     string          `json:"rules"`
	Query     string          `json:"query"`
}

func main() {
	runtime := cog.NewRuntime()
	// Only what is in use: another kind of panel is refused until it stands here.
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, "read the questions:", err)
		os.Exit(1)
	}
	answers := make([][]string, len(questions))
	for i, q := range questions {
		for _, err := range ask(q) {
			answers[i] = append(answers[i], err.Error())
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, "write the answers:", err)
		os.Exit(1)
	}
}

func ask(q question) []error {
	read := parser.NewParser(parser.Options{})
	switch {
	case q.Dashboard != nil:
		return dashboardErrors(q.Dashboard)
	case q.Rules != "":
		_, errs := rulefmt.Parse([]byte(q.Rules), false, model.LegacyValidation, read, slog.New(slog.DiscardHandler))
		return errs
	}
	if _, err := read.ParseExpr(q.Query); err != nil {
		return []error{err}
	}
	return nil
}

func dashboardErrors(text []byte) []error {
	var strict, board dashboard.Dashboard
	if err := strict.UnmarshalJSONStrict(text); err != nil && !none(err) {
		return []error{err}
	}
	// Once more, for what was read strictly has lost its panels where nothing is wrong with them.
	if err := json.Unmarshal(text, &board); err != nil {
		return []error{err}
	}
	var errs []error
	if err := board.Validate(); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, fieldErrors(text)...)
	for _, v := range board.Templating.List {
		if v.Type != dashboard.VariableTypeQuery && v.Type != dashboard.VariableTypeDatasource {
			errs = append(errs, fmt.Errorf("a variable %q", v.Type))
		}
	}
	for i, p := range board.Panels {
		if p.Panel == nil {
			errs = append(errs, fmt.Errorf("panels[%d]: it is no panel", i))
			continue
		}
		if _, known := cog.ConfigForPanelcfgVariant(p.Panel.Type); !known {
			errs = append(errs, fmt.Errorf("panels[%d]: a panel %q", i, p.Panel.Type))
		}
		for j, t := range p.Panel.Targets {
			if _, known := t.(*prometheus.Dataquery); !known {
				errs = append(errs, fmt.Errorf("panels[%d].targets[%d]: it asks no Prometheus", i, j))
			}
		}
	}
	return errs
}

// fieldErrors reads strictly what the schema's code reads by the way only.
func fieldErrors(text []byte) (errs []error) {
	var board struct {
		Panels []struct{ FieldConfig json.RawMessage }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		return []error{err}
	}
	for i, p := range board.Panels {
		var fields dashboard.FieldConfigSource
		if err := fields.UnmarshalJSONStrict(p.FieldConfig); err != nil && !none(err) {
			errs = append(errs, fmt.Errorf("panels[%d].fieldConfig: %w", i, err))
		}
	}
	return errs
}

// none tells a list of errors without one from an error: what reads strictly returns both.
func none(err error) bool {
	list, is := errors.AsType[cog.BuildErrors](err)
	return is && len(list) == 0
}
