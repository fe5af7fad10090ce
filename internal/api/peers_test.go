package api

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/peertest"
)

const (
	dashboardFile = "../../packaging/grafana/docker-watcher.json"
	alertsFile    = "../../packaging/prometheus/alerts.yaml"
)

// packaged is what tools/peers/figures is asked: one of these.
type packaged struct {
	Dashboard json.RawMessage `json:"dashboard,omitempty"`
	Rules     string          `json:"rules,omitempty"`
	Query     string          `json:"query,omitempty"`

	name    string
	refused bool
}

// TestGrafanaAndPrometheusReadWhatIsPackaged has Grafana's own schema read the dashboard, and Prometheus' own code the alert rules and each query.
func TestGrafanaAndPrometheusReadWhatIsPackaged(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	board, rules := read(dashboardFile), read(alertsFile)
	questions := []packaged{{name: "the dashboard", Dashboard: json.RawMessage(board)}, {name: "the rules", Rules: rules}}
	var queries dashboard
	if err := json.Unmarshal([]byte(board), &queries); err != nil {
		t.Fatal(err)
	}
	for _, p := range queries.Panels {
		for _, q := range p.Targets {
			questions = append(questions, packaged{name: p.Title, Query: strings.ReplaceAll(q.Expr, "$job", "docker-watcher")})
		}
	}
	if len(questions) < 20 {
		t.Errorf("%d questions", len(questions))
	}
	// Each change once: nothing would be seen here of code that takes all.
	broken := func(text, from, to string) string {
		changed := regexp.MustCompile(from).ReplaceAllString(text, to)
		if changed == text {
			t.Errorf("there is no %s to change", from)
		}
		return changed
	}
	for name, change := range map[string][2]string{
		"a field that there is not":            {`"editable"`, `"editabel"`},
		"a field of a panel that there is not": {`"gridPos"`, `"gridPso"`},
		"a field of a query that there is not": {`"legendFormat"`, `"legend"`},
		"a field of fields that there is not":  {`"overrides": \[\]`, `"overrides": [], "custom": {}`},
		"an option of a kind of panel":         {`"fieldConfig"`, `"options": {"colourMode": "value"}, "fieldConfig"`},
		"a way to draw that there is not":      {`"unit": "short"`, `"unit": "short", "custom": {"drawStile": "bars"}`},
		"no version of the schema":             {`"schemaVersion": 39,`, ``},
		"a version that is a text":             {`"schemaVersion": 39`, `"schemaVersion": "39"`},
		"a panel of no kind":                   {`"type": "timeseries"`, `"type": "timesries"`},
		"a panel that is too wide":             {`"w": 4`, `"w": 40`},
		"a source that is no Prometheus":       {`"type": "prometheus"`, `"type": "loki"`},
		"a variable of no kind":                {`"type": "query"`, `"type": "qurey"`},
	} {
		questions = append(questions, packaged{name: name, refused: true, Dashboard: json.RawMessage(broken(board, change[0], change[1]))})
	}
	for name, change := range map[string][2]string{
		"a field of a rule that there is not": {`annotations:`, `annotation:`},
		"a duration that is none":             {`for: 5m`, `for: 5 minutes`},
		"a query that is none":                {`== 1`, `== = 1`},
		"a template that is none":             {`\{\{ \$labels.host \}\}`, `{{ $labels.host }`},
		"a function of a template":            {`humanizeDuration`, `humaniseDuration`},
		"a rule of two kinds":                 {`alert: DockerWatcherAway`, "alert: DockerWatcherAway\n        record: a:b"},
	} {
		questions = append(questions, packaged{name: name, refused: true, Rules: broken(rules, change[0], change[1])})
	}
	for _, query := range []string{"sum(", "rate(docker_watcher_deploys_total)", "docker_watcher_a{host=}", "histogram_quantile(0.9)"} {
		questions = append(questions, packaged{name: query, refused: true, Query: query})
	}
	for i, wrong := range peertest.Ask[packaged, []string](t, peertest.Build(t, "peers", "./figures"), questions) {
		if q := questions[i]; (len(wrong) > 0) != q.refused {
			t.Errorf("%s: %s", q.name, strings.Join(wrong, "\n"))
		}
	}
}
