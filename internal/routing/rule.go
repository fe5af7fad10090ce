package routing

import (
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// RuleOf is the rule of a row. No engine is asked: targets that are no URLs have no address.
func RuleOf(v store.RouteView) (proxy.Rule, error) { return ruleOf(v) }
