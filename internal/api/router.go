// Package api is the HTTP API under /api: who may do what, what is asked of the
// packages below, and every error as a problem (RFC 9457). A request passes, in this
// order: recovery of panics, security headers, the check of its origin, its body read
// whole within limits, the route, the caller's role, and its handler. Handlers block
// as long as what they ask for; streams end when the daemon begins to stop.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/adopt"
	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/hook"
	"github.com/tiny-forge/docker-watcher/internal/hosts"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/reclaim"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/sso"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/usage"
)

// ScanJob is the scheduler's name of the job that scans every host.
const ScanJob = "stale-scan"

// PollJob is the scheduler's name of the job that asks registries for new tags.
const PollJob = "registry-poll"

// BackupJob is the scheduler's name of the job that makes a backup when one is due.
const BackupJob = "backup"

// Deps are the parts that the API stands on.
type Deps struct {
	DB        *store.DB
	Bus       *events.Bus
	Refusals  *Refusals
	Fleet     *docker.Fleet
	Hosts     *hosts.Keeper
	Scanner   *stale.Scanner
	Cleaner   *stale.Cleaner
	Deployer  *deploy.Deployer
	Reclaimer *reclaim.Reclaimer
	Adopter   *adopt.Adopter
	// Registries are asked for what they have; see main for how each is reached.
	Registries *registry.Registries
	Auth       *auth.Service
	SSO        *sso.Flows
	Scheduler  *schedule.Scheduler
	// HostWorks tells of what jobs have done on hosts; nil: nothing is known of that.
	HostWorks func() []HostWork
	Meter     *usage.Meter
	Backups   *backup.Keeper
	// DataDir is the data folder.
	DataDir string
	// Notifier sends test messages and makes previews; what waits in the outbox it sends by itself.
	Notifier *notify.Notifier
	// Looker asks registries for tags; nil: none can be asked.
	Looker *poll.Looker
	// Routes are what the routes and standalone proxies are served by.
	Routes Routes
	// ThresholdsChanged is told after a change of the settings or of any policy. It
	// sets the scan job anew and asks for a scan with trigger "settings", without waiting for it.
	ThresholdsChanged func(context.Context) error
	// Web answers everything outside of the API; nil: 404.
	Web http.Handler
	// Stopping is closed when the daemon begins to stop: streams end then. Nil: never.
	Stopping <-chan struct{}
	// Cut is closed when the daemon's patience is over: cleanups and actions that go on
	// although their caller left are ended then, and take back what they have in hand. Nil: never.
	Cut     <-chan struct{}
	Version string
	Log     *slog.Logger
}

type server struct {
	d       Deps
	log     *slog.Logger
	metrics *metrics
	hooks   *hook.Limits
	visits  visits
	peers   *peers

	passwords *passwords
	examining sync.Mutex // held while the doctor looks
}

// New returns the handler of the whole HTTP surface.
func New(d Deps) http.Handler {
	s := &server{d: d, log: d.Log, metrics: newMetrics(d), hooks: hook.NewLimits(), visits: visits{of: map[string]visited{}}, peers: &peers{read: d.DB.Settings}, passwords: newPasswords()}
	mux := http.NewServeMux()
	s.mount(mux)
	return s.guard(mux)
}

// mount registers every route and the document that describes them.
func (s *server) mount(mux *http.ServeMux) huma.API {
	doc := humago.New(mux, documentConfig(s.d.Version))
	doc.UseMiddleware(s.admit)
	for _, r := range s.routes() {
		r.handle(s, doc, r.operation())
	}
	return doc
}

// route is one line of the table: what, who may, and which handler.
type route struct {
	method, path string
	need         store.Role
	id           string // of the operation, in the OpenAPI document
	summary      string
	handle       mounter
}

type mounter func(s *server, doc huma.API, op huma.Operation)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete

	viewer   = store.RoleViewer
	operator = store.RoleOperator
	admin    = store.RoleAdmin
)

// routes is the whole API. The role stands here and nowhere else: the middleware
// and the OpenAPI document both read it.
func (s *server) routes() []route {
	return append([]route{
		{get, "/healthz", anyone, "health", "The daemon lives", to(s.health)},
		{get, "/readyz", anyone, "readiness", "The daemon can do its work, or why not", ready(s.readiness)},
		{get, "/metrics", viewer, "metrics", "Figures for Prometheus", streamed("text/plain", s.showMetrics)},
		{get, "/api/openapi.json", anyone, "openapi", "This document", document},

		{get, "/api/session", anyone, "get-session", "Who am I", to(s.session)},
		{post, "/api/session", anyone, "login", "Sign in with name and password", to(s.login)},
		{remove, "/api/session", viewer, "logout", "Sign out", to(s.logout)},
		{post, "/api/setup", anyone, "setup", "Spend the one-time setup code: make the first admin", to(s.setup)},
		{get, "/api/tokens", viewer, "list-tokens", "List my API tokens; an admin sees all", to(s.listTokens)},
		{post, "/api/tokens", viewer, "create-token", "Make an API token of my own; its secret is told once", created(s.createToken)},
		{remove, "/api/tokens/{id}", viewer, "revoke-token", "End an API token", to(s.revokeToken)},

		{post, "/api/keys/rotate", admin, "rotate-keys", "Seal everything that is sealed anew under a new key", to(s.rotateKeys)},

		{get, "/api/projects", viewer, "list-projects", "List the projects", to(s.listProjects)},
		{post, "/api/projects", admin, "create-project", "Make a project", created(s.createProject)},
		{get, "/api/projects/{id}", viewer, "get-project", "A project by id or name", to(s.getProject)},
		{patch, "/api/projects/{id}", admin, "update-project", "Change a project", to(s.updateProject)},
		{remove, "/api/projects/{id}", admin, "delete-project", "Remove a project without stages", to(s.deleteProject)},

		{get, "/api/stages", viewer, "list-stages", "List the stages", to(s.listStages)},
		{post, "/api/stages", admin, "create-stage", "Make a stage", created(s.createStage)},
		{get, "/api/stages/{id}", viewer, "get-stage", "A stage", to(s.getStage)},
		{patch, "/api/stages/{id}", admin, "update-stage", "Change a stage", to(s.updateStage)},
		{get, "/api/stages/{id}/diff", viewer, "diff-stage", "What runs against what is wanted", to(s.diffStage)},
		{remove, "/api/stages/{id}", admin, "delete-stage", "Remove a stage without instances", to(s.deleteStage)},

		{post, composePath, admin, "import-compose", "Make a service of a compose file a stage, or tell what that would take", to(s.importCompose)},

		{get, "/api/registry-presets", viewer, "list-registry-presets", "What to write where, by kind of registry", to(s.listPresets)},
		{get, "/api/registries", viewer, "list-registries", "List the registries, without passwords", to(s.listRegistries)},
		{post, "/api/registries", admin, "create-registry", "Set up a registry", created(s.createRegistry)},
		{get, "/api/registries/{id}", viewer, "get-registry", "A registry by id or name, without its password", to(s.getRegistry)},
		{patch, "/api/registries/{id}", admin, "update-registry", "Change a registry", to(s.updateRegistry)},
		{remove, "/api/registries/{id}", admin, "delete-registry", "Remove a registry and its password", to(s.deleteRegistry)},
		{post, "/api/registries/{id}/test", operator, "test-registry", "Ask a registry now what it shows, and what it may be asked", to(s.testRegistry)},
		{post, "/api/registries/{id}/hook", admin, "make-hook", "Give a registry a webhook, or its webhook another secret, which is told once", created(s.makeHook)},
		{remove, "/api/registries/{id}/hook", admin, "delete-hook", "Take the webhook of a registry away", to(s.deleteHook)},
		{post, "/api/hooks/{id}", anyone, "hear-hook", "A registry says that something was pushed; whoever shows the secret has what is named polled", hookBody(s.hear)},
		{post, "/api/hooks/{id}/{secret}", anyone, "hear-hook-at", "The same, of senders that can neither sign nor send a header", hookBody(s.hearAt)},
		{post, "/api/stages/{id}/rule/try", operator, "try-rule", "Which tags a rule takes, in which order, and which one would be deployed; nothing is written", to(s.tryRule)},
		{post, "/api/projects/{id}/rule/try", operator, "try-new-rule", "The same for a stage that is yet to be made", to(s.tryNewRule)},

		{get, "/api/policies", viewer, "list-policies", "What each level says, and what is in force for each stage", to(s.listPolicies)},
		{get, "/api/policies/global", viewer, "get-global-policy", "What the global level says", to(s.getGlobalPolicy)},
		{put, "/api/policies/global", admin, "put-global-policy", "Replace what the global level says", policyBody(s.putGlobalPolicy)},
		{get, "/api/projects/{id}/policy", viewer, "get-project-policy", "What a project says", to(s.getProjectPolicy)},
		{put, "/api/projects/{id}/policy", admin, "put-project-policy", "Replace what a project says", policyBody(s.putProjectPolicy)},
		{get, "/api/stages/{id}/policy", viewer, "get-stage-policy", "What a stage says, and what is in force for it", to(s.getStagePolicy)},
		{put, "/api/stages/{id}/policy", admin, "put-stage-policy", "Replace what a stage says", policyBody(s.putStagePolicy)},
		{post, "/api/policies/try", operator, "try-policy", "What a change of policy would mark, spare and clean; nothing is written", trialBody(s.tryPolicy)},

		{get, "/api/stages/{id}/deploys", viewer, "list-deploys", "The deploys of a stage, newest first", to(s.listDeploys)},
		{post, "/api/stages/{id}/deploys", operator, "start-deploy", "Bring a stage to an image tag", accepted(s.startDeploy)},
		{post, "/api/stages/{id}/rollback", operator, "rollback", "Bring a stage back to a former instance", accepted(s.rollback)},
		{get, "/api/deploys/{id}", viewer, "get-deploy", "A deploy", to(s.getDeploy)},
		{get, "/api/deploys/{id}/log", viewer, "get-deploy-log", "The log of a deploy, as a list or as it grows", streamable[list[deployLineJSON]]("the lines, oldest first; with Accept: text/event-stream as they come, until the deploy ends", s.deployLog)},
		{post, "/api/deploys/{id}/cancel", operator, "cancel-deploy", "End a deploy before its new instance serves", accepted(s.cancelDeploy)},

		{get, "/api/proxies", viewer, "list-proxies", "List the standalone proxies", to(s.listProxies)},
		{post, "/api/proxies", operator, "create-proxy", "Lead domains to any target", created(s.createProxy)},
		{post, "/api/proxies/test", operator, "try-proxy", "Look targets up, dial and ask them, before anything is saved", to(s.tryProxy)},
		{get, "/api/proxies/export", viewer, "export-proxies", "All standalone proxies as one document, without their secrets", to(s.exportProxies)},
		{post, proxyImportPath, operator, "import-proxies", "Bring the standalone proxies to what a document says, all or none, or tell what that would change", to(s.importProxies)},
		{get, "/api/proxies/{id}", viewer, "get-proxy", "A standalone proxy", to(s.getProxy)},
		{patch, "/api/proxies/{id}", operator, "update-proxy", "Change a standalone proxy", to(s.updateProxy)},
		{remove, "/api/proxies/{id}", operator, "delete-proxy", "Remove a standalone proxy", to(s.deleteProxy)},
		{post, "/api/proxies/{id}/enable", operator, "enable-proxy", "Serve a standalone proxy again", to(s.enableProxy)},
		{post, "/api/proxies/{id}/disable", operator, "disable-proxy", "Serve a standalone proxy no more, but keep it and its domains", to(s.disableProxy)},
		{post, "/api/proxies/{id}/test", operator, "test-proxy", "Look its targets up, dial and ask them", to(s.testProxy)},
		{get, "/api/proxies/{id}/health", viewer, "get-proxy-health", "How a standalone proxy and its targets do", to(s.proxyHealth)},
		{get, "/api/routes", viewer, "list-routes", "List the routes of stages", to(s.listStageRoutes)},
		{post, "/api/routes", operator, "create-route", "Lead domains to an instance of a stage", created(s.createRoute)},
		{get, "/api/routes/{id}", viewer, "get-route", "A route of a stage", to(s.getRoute)},
		{patch, "/api/routes/{id}", operator, "update-route", "Change a route of a stage", to(s.updateRoute)},
		{remove, "/api/routes/{id}", operator, "delete-route", "Remove a route of a stage", to(s.deleteRoute)},
		{post, "/api/routes/{id}/enable", operator, "enable-route", "Serve a route of a stage again", to(s.enableRoute)},
		{post, "/api/routes/{id}/disable", operator, "disable-route", "Serve a route of a stage no more, but keep it and its domains", to(s.disableRoute)},
		{post, "/api/routes/{id}/test", operator, "test-route", "Find its instance, dial and ask it", to(s.testRoute)},
		{get, "/api/routes/{id}/health", viewer, "get-route-health", "How a route and its target do", to(s.routeHealth)},
		{get, "/api/routes/{id}/labels", operator, "get-route-labels", "The Docker labels by which Traefik would serve a route, without what lets somebody in", to(s.routeLabels)},
		{get, TraefikPath, anyone, "fetch-traefik", "The routes as the dynamic configuration of Traefik, for its HTTP provider; whoever shows the token has it", fetched},
		{get, "/api/routing", viewer, "get-routing", "What is served, and whether it is what is asked for", to(s.routingState)},

		{get, "/api/certificates", viewer, "list-certificates", "List the certificates that routes ask for, and the uploaded ones", to(s.listCertificates)},
		{get, "/api/certificates/{id}", viewer, "get-certificate", "A certificate, without its key", to(s.getCertificate)},
		{put, "/api/certificates/own/{name}", admin, "upload-certificate", "Upload a certificate with its key, also in the place of another", to(s.uploadCertificate)},
		{remove, "/api/certificates/{id}", admin, "delete-certificate", "Remove an uploaded certificate and its key", to(s.deleteCertificate)},
		{post, "/api/certificates/{id}/renew", operator, "renew-certificate", "Ask for a certificate anew, now", accepted(s.renewCertificate)},
		{get, "/api/certificate-authorities/acme", admin, "get-authority", "Who is asked for certificates, by ACME", to(s.getAuthority)},
		{put, "/api/certificate-authorities/acme", admin, "put-authority", "Say who is asked for certificates", to(s.putAuthority)},
		{get, "/api/certificates/ca.pem", viewer, "get-own-ca", "The root of our own authority, which clients are to trust", streamed("application/x-pem-file", s.rootOfOurs)},

		{get, "/api/instances", viewer, "list-instances", "List the instances", to(s.listInstances)},
		{get, "/api/instances/{id}", viewer, "get-instance", "An instance", to(s.getInstance)},
		{remove, "/api/instances/{id}", operator, "remove-instance", "Remove an instance that is not stale", to(s.removeInstance)},
		{get, "/api/instances/{id}/logs", viewer, "get-logs", "The log of an instance, as text, as a file or as a stream", logged},
		{get, "/api/instances/{id}/stats", viewer, "get-instance-stats", "What an instance uses now", streamable[usageJSON]("one sample; with Accept: text/event-stream one every two seconds", s.usage)},
		{get, "/api/instances/{id}/stats/history", viewer, "get-instance-stats-history", "What an instance used in the last hour", to(s.usageHistory)},
		{get, "/api/stats", viewer, "list-stats", "What the running instances use now", to(s.listUsage)},
		{post, "/api/instances/{id}/start", operator, "start-instance", "Start a stopped instance", to(s.startInstance)},
		{post, "/api/instances/{id}/stop", operator, "stop-instance", "Stop a running instance", to(s.stopInstance)},
		{post, "/api/instances/{id}/restart", operator, "restart-instance", "Restart an instance", to(s.restartInstance)},
		{post, "/api/instances/{id}/pin", operator, "pin-instance", "Keep an instance from every cleanup", to(s.pinInstance)},
		{post, "/api/instances/{id}/unpin", operator, "unpin-instance", "End a pin", to(s.unpinInstance)},
		{post, "/api/instances/{id}/snooze", operator, "snooze-instance", "Keep an instance from every cleanup until a moment", to(s.snooze)},
		{remove, "/api/instances/{id}/snooze", operator, "unsnooze-instance", "End a snooze", to(s.unsnooze)},
		{remove, "/api/instances/{id}/adoption", admin, "unadopt-instance", "Give an adopted container back without touching it", to(s.unadoptInstance)},

		{get, "/api/containers/stale", viewer, "list-stale", "What is stale, and how we know", to(s.listStale)},
		{post, "/api/containers/stale/scan", operator, "scan", "Look at the hosts now", to(s.scan)},
		{post, "/api/containers/stale/cleanup", admin, "cleanup", "Plan or apply a cleanup of many", cleanupBody(s.cleanup)},
		{post, "/api/containers/stale/{id}/cleanup", operator, "cleanup-one", "Plan or apply the cleanup of one", cleanupOneBody(s.cleanupOne)},
		{get, "/api/containers/foreign", viewer, "list-foreign", "What is on the hosts and not ours", to(s.listForeign)},
		{post, "/api/containers/foreign/adopt", admin, "adopt", "Take containers over, all or nothing, or tell what that would make", to(s.adoptContainers)},
		{get, "/api/plans", viewer, "list-plans", "The plans, newest first, without their items", to(s.listPlans)},
		{get, "/api/plans/{id}", viewer, "get-plan", "A plan and what became of it", to(s.getPlan)},
		{post, "/api/plans/{id}/cancel", operator, "cancel-plan", "Call off a plan before it is applied", to(s.cancelPlan)},
		{post, "/api/plans/{id}/restore", admin, "restore-plan", "Restore everything that a plan removed, or tell what that would take", planRestoreBody(s.restorePlan)},
		{get, "/api/scans", viewer, "list-scans", "The scans, what they cost, and when the next is due", to(s.listScans)},

		{get, "/api/archives", viewer, "list-archives", "What is kept of removed instances", to(s.listArchives)},
		{get, "/api/archives/{id}", viewer, "get-archive", "What is kept of a removed instance", to(s.getArchive)},
		{get, "/api/archives/{id}/logs", operator, "get-archive-logs", "The last lines of its log, as text", streamed("text/plain", s.archiveLogs)},
		{post, "/api/archives/{id}/restore", operator, "restore-archive", "Restore a removed instance, or tell what that would take", restoreBody(s.restore)},
		{remove, "/api/archives/{id}", admin, "delete-archive", "End the possibility of an undo", to(s.deleteArchive)},

		{get, "/api/leftovers", viewer, "list-leftovers", "What does not fit together, and the one step that mends it", to(s.listLeftovers)},
		{post, "/api/leftovers/{id}/mend", admin, "mend-leftover", "Carry out that step", mendBody(s.mendLeftover)},

		{get, "/api/jobs", viewer, "list-jobs", "What is done by itself: when, how the last run ended, and what it did on each host", to(s.listJobs)},
		{post, "/api/jobs/{name}/run", admin, "run-job", "Have a job run now, without waiting for its end", accepted(s.runJob)},
		{get, "/api/doctor", admin, "doctor", "Ask every part now how it is, and what to do about what is not well", to(s.examine)},
		{get, "/api/backups", admin, "list-backups", "The backups of the store that are there, newest first", to(s.listBackups)},
		{post, "/api/backups", admin, "make-backup", "Make a backup of the store now, and check it", created(s.makeBackup)},
		{get, "/api/backups/{name}", admin, "get-backup", "A backup, as a file; the key file is not in it", streamed("application/gzip", s.getBackup)},
		{remove, "/api/backups/{name}", admin, "delete-backup", "Let go of a backup", to(s.deleteBackup)},

		{get, "/api/overview", viewer, "overview", "What needs somebody now", to(s.overview)},
		{get, "/api/history", viewer, "history", "What was stale and what came back, day by day", to(s.history)},

		{get, "/api/hosts", viewer, "list-hosts", "The Docker hosts and how well we see them", to(s.listHosts)},
		{post, "/api/hosts", admin, "create-host", "Add a host", created(s.createHost)},
		{post, "/api/hosts/test", admin, "try-host", "Test what is said of a host before it is added", to(s.tryHost)},
		{get, "/api/hosts/{id}", viewer, "get-host", "A host and how well we see it", to(s.getHost)},
		{patch, "/api/hosts/{id}", admin, "update-host", "Change a host", to(s.updateHost)},
		{remove, "/api/hosts/{id}", admin, "delete-host", "Forget a host that nothing names", to(s.deleteHost)},
		{post, "/api/hosts/{id}/test", admin, "test-host", "Test a host, as it is or as a change would make it", to(s.testHost)},
		{post, "/api/hosts/{id}/disable", admin, "disable-host", "Take a host out of use", to(s.disableHost)},
		{post, "/api/hosts/{id}/enable", admin, "enable-host", "Put a host to use again", to(s.enableHost)},
		{post, "/api/hosts/{id}/accept", admin, "accept-host", "End the freeze of a host", to(s.acceptHost)},
		{get, "/api/hosts/{id}/blind", viewer, "get-blind-time", "The time in which a host could not be judged", to(s.blindLedger)},
		{get, "/api/hosts/{id}/reclaim", viewer, "get-reclaim", "What removed instances left on a host", to(s.left)},
		{post, "/api/hosts/{id}/reclaim", admin, "reclaim", "Plan or apply the removal of images", reclaimBody(s.reclaim)},
		{get, "/api/reclaim/plans/{id}", viewer, "get-reclaim-plan", "A plan to reclaim images and what became of it", to(s.getReclaimPlan)},
		{remove, "/api/hosts/{id}/volumes/{name}", admin, "remove-volume", "Remove one anonymous volume", to(s.removeVolume)},

		{get, "/api/socket-policy", viewer, "socket-policy", "What a proxy before an engine's socket has to let through", to(s.socketPolicy)},
		{get, "/api/settings", viewer, "get-settings", "The settings", to(s.getSettings)},
		{patch, "/api/settings", admin, "update-settings", "Change settings: all that are named, or none", settingsBody(s.updateSettings)},
		{get, "/api/notifications/kinds", viewer, "list-channel-kinds", "The kinds of channels, and how the URL of each is written", to(s.listChannelKinds)},
		{get, "/api/notifications/channels", viewer, "list-channels", "Where events are sent to, without what is secret", to(s.listChannels)},
		{post, "/api/notifications/channels", admin, "create-channel", "Set up a channel", created(s.createChannel)},
		{post, "/api/notifications/channels/test", admin, "try-channel", "Send a test message to a channel before it is saved", to(s.tryChannel)},
		{get, "/api/notifications/channels/{id}", viewer, "get-channel", "A channel by id or name, without what is secret", to(s.getChannel)},
		{patch, "/api/notifications/channels/{id}", admin, "update-channel", "Change a channel", to(s.updateChannel)},
		{remove, "/api/notifications/channels/{id}", admin, "delete-channel", "Remove a channel, and what waits for it", to(s.deleteChannel)},
		{post, "/api/notifications/channels/{id}/test", admin, "test-channel", "Send a test message now", to(s.testChannel)},
		{post, "/api/notifications/preview", admin, "preview-message", "What templates make of real events", to(s.previewMessage)},
		{get, "/api/notifications/rules", viewer, "list-notification-rules", "Which events go where", to(s.listNotifyRules)},
		{post, "/api/notifications/rules", admin, "create-notification-rule", "Make a rule", created(s.createNotifyRule)},
		{get, "/api/notifications/rules/{id}", viewer, "get-notification-rule", "A rule by id or name", to(s.getNotifyRule)},
		{patch, "/api/notifications/rules/{id}", admin, "update-notification-rule", "Change a rule", to(s.updateNotifyRule)},
		{remove, "/api/notifications/rules/{id}", admin, "delete-notification-rule", "Remove a rule; what it put into the outbox is sent", to(s.deleteNotifyRule)},
		{get, "/api/notifications/outbox", viewer, "list-outbox", "The messages, newest first", to(s.listOutbox)},
		{post, "/api/notifications/outbox/retry", admin, "retry-outbox", "Have all messages that were given up sent again", to(s.retryOutbox)},
		{get, "/api/notifications/outbox/{id}", viewer, "get-message", "A message and the events that it tells of", to(s.getMessage)},
		{post, "/api/notifications/outbox/{id}/retry", admin, "retry-message", "Have a message sent again now", to(s.retryMessage)},
		{remove, "/api/notifications/outbox/{id}", admin, "delete-message", "Take a message out of the outbox", to(s.deleteMessage)},

		{get, "/api/events", viewer, "list-events", "The event log, newest first", to(s.listEvents)},
		{get, "/api/events/export", viewer, "export-events", "The event log as a file, newest first: one JSON object a line, or CSV", streamed("application/x-ndjson", s.exportEvents)},
		{get, "/api/events/stream", viewer, "stream-events", "Events as they happen (text/event-stream)", streamed("text/event-stream", s.streamEvents)},
	}, append(s.peopleRoutes(), s.providerRoutes()...)...)
}

// to mounts a handler. What it returns as an error becomes a problem.
func to[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return func(s *server, doc huma.API, op huma.Operation) {
		huma.Register(doc, op, func(ctx context.Context, in *I) (*O, error) {
			answer, err := fn(ctx, in)
			if err != nil {
				return nil, problemOf(ctx, s.log, err)
			}
			return answer, nil
		})
	}
}

func created[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return withStatus(http.StatusCreated, to(fn))
}

func accepted[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return withStatus(http.StatusAccepted, to(fn))
}

func withStatus(status int, mount mounter) mounter {
	return func(s *server, doc huma.API, op huma.Operation) {
		op.DefaultStatus = status
		mount(s, doc, op)
	}
}
