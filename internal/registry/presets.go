package registry

// Preset helps to fill in the form of a registry of a kind: what to put where. docs/registries.md says more.
type Preset struct {
	Kind         string
	Title        string
	Host         string // as it is to be written; empty: each has its own
	HostHint     string
	Username     string // as it is to be written; empty: each has its own
	UsernameHint string
	PasswordHint string
	Note         string // what else there is to know
}

// Presets are the kinds of registries that we know of; the last is for all others.
func Presets() []Preset {
	return []Preset{
		{
			Kind: "dockerhub", Title: "Docker Hub", Host: DockerHub,
			UsernameHint: "your Docker ID, or the name of an organisation with an access token of its own",
			PasswordHint: "a personal access token with the right to read (Account settings, Personal access tokens)",
			Note:         "without a login Docker Hub counts pulls by address; with one, by account and higher. It shows no catalogue: name a repository in a test",
		},
		{
			Kind: "ghcr", Title: "GitHub Container Registry", Host: "ghcr.io",
			UsernameHint: "your GitHub user name",
			PasswordHint: "a personal access token (classic) with the scope read:packages; fine-grained tokens do not work for it",
			Note:         "public packages need no login. It shows no catalogue: name a repository in a test, such as acme/shop",
		},
		{
			Kind: "gitlab", Title: "GitLab", HostHint: "registry.gitlab.com, or that of your own, such as registry.gitlab.example or gitlab.example:5050",
			UsernameHint: "the name of a deploy token, or any name beside an access token",
			PasswordHint: "a deploy token, or a project or group access token, with the scope read_registry",
			Note:         "the token server of your own must be known by a name, not only by a private address",
		},
		{
			Kind: "gitea", Title: "Gitea, Forgejo", HostHint: "the host of the web page, such as git.example or codeberg.org",
			UsernameHint: "your user name",
			PasswordHint: "an access token with the right to read packages (Settings, Applications)",
		},
		{
			Kind: "harbor", Title: "Harbor", HostHint: "the host of the web page, such as harbor.example",
			UsernameHint: "the full name of a robot account, such as robot$shop+watcher",
			PasswordHint: "its secret; it needs the rights to pull and to list repositories",
			Note:         "repositories begin with the project: harbor.example/shop/api",
		},
		{
			Kind: "ecr", Title: "Amazon ECR", HostHint: "ACCOUNT.dkr.ecr.REGION.amazonaws.com", Username: "AWS",
			PasswordHint: "what aws ecr get-login-password prints",
			Note: "that password ends after 12 hours: let a timer set it anew, as docs/registries.md shows. " +
				"For public.ecr.aws no login is needed",
		},
		{
			Kind: "gcr", Title: "Google Artifact Registry, GCR", HostHint: "REGION-docker.pkg.dev, or gcr.io", Username: "_json_key",
			PasswordHint: "the whole JSON key of a service account with the role Artifact Registry Reader",
			Note: "in place of a key: the user name oauth2accesstoken and what gcloud auth print-access-token prints, " +
				"which ends after an hour",
		},
		{
			Kind: "acr", Title: "Azure Container Registry", HostHint: "NAME.azurecr.io",
			UsernameHint: "the name of a repository-scoped token, or the application id of a service principal",
			PasswordHint: "a password of that token, or a secret of that principal with the role AcrPull",
		},
		{
			Kind: "generic", Title: "Another registry", HostHint: "what stands before the first / in the names of its images, such as registry.example or 10.0.0.7:5000",
			UsernameHint: "empty, where it wants none",
			PasswordHint: "a password, or a token that takes its place",
		},
	}
}
