package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	extensionsv1alpha1 "istio.io/api/extensions/v1alpha1"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	telemetryv1 "istio.io/api/telemetry/v1"
	"sigs.k8s.io/yaml"

	"orgate/config"
	"orgate/deploy/schema"
	"orgate/e2e/envoy"
)

const workflow = "../.github/workflows/ci.yml"

// checks say what is to be checked of each file: a file without a check is an
// error.
var checks = []struct {
	files string // a pattern
	check func(t *testing.T, content []byte)
}{
	{"*.go", nil},
	{"*/*.go", nil},
	{"*/*/*.go", nil},
	{"schema/crds/*.json", nil}, // by package schema
	{"README.md", checkREADME},
	{"orgate.json", checkConfiguration},
	{"compose/orgate.json", checkConfiguration},
	{"compose/envoy.yaml", checkBootstrap},
	{"compose/compose.yaml", checkCompose},
	{"compose/try.sh", checkShell},
	{"compose/realms/*.json", nil}, // TestRealms
	{"compose/echo/Dockerfile", checkEchoImage},
	{"compose/echo/Dockerfile.dockerignore", nil},
	{"image/Dockerfile", checkImage},
	{"image/Dockerfile.dockerignore", nil},
	{"istio/mesh.yaml", checkMesh},
	{"istio/*.yaml", checkManifests},
	{"envoy-gateway/*.yaml", checkManifests},
	{"metrics/rules.yaml", nil}, // TestAlerts
	{"metrics/rules_test.yaml", checkRulesTest},
	{"chart/.helmignore", nil},
	{"chart/*.yaml", checkMembers},
	{"chart/values.schema.json", nil}, // by Helm, in "make kube"
	{"chart/crds/*.yaml", checkMembers},
	{"chart/templates/*", nil}, // rendered by "make kube"
	{"controller/Dockerfile", nil},
	{"kustomize/*.yaml", checkMembers},
	{"kustomize/examples/*.yaml", checkMembers},
	{"metrics/dashboard.json", nil}, // TestDashboard
}

func TestFiles(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := filepath.ToSlash(path)
		for _, c := range checks {
			if ok, err := filepath.Match(c.files, name); err != nil {
				return err
			} else if ok {
				used[c.files] = true
				if c.check != nil {
					t.Run(name, func(t *testing.T) { c.check(t, readFile(t, path)) })
				}
				return nil
			}
		}
		t.Errorf("%s: nobody checks it", name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if !used[c.files] {
			t.Errorf("%s: no such file", c.files)
		}
	}
}

// decode reads YAML or JSON strictly: no member twice, and none that into does
// not have.
func decode(t *testing.T, content []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(content, into); err != nil {
		t.Fatal(err)
	}
}

// checkMembers finds members that are there twice. "make kube" gives these files
// to an API server.
func checkMembers(t *testing.T, content []byte) {
	for document := range bytes.SplitSeq(content, []byte("\n---\n")) {
		decode(t, document, &map[string]any{})
	}
}

func checkConfiguration(t *testing.T, content []byte) {
	if _, err := config.Parse(string(content)); err != nil {
		t.Error(err)
	}
}

func checkBootstrap(t *testing.T, content []byte) {
	b, err := envoy.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string(nil), b.Check()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// checkManifests holds objects against their schemas, and the plugin's
// configuration in them against the plugin.
func checkManifests(t *testing.T, content []byte) {
	objects, err := schema.Read(content)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		switch o.Kind {
		case "WasmPlugin":
			doc, err := protojson.Marshal(o.Type.(*extensionsv1alpha1.WasmPlugin).PluginConfig)
			if err != nil {
				t.Fatal(err)
			}
			checkConfiguration(t, doc)
		case "EnvoyExtensionPolicy":
			var spec struct {
				Wasm []struct{ Config json.RawMessage }
			}
			if err := json.Unmarshal(o.Spec, &spec); err != nil {
				t.Fatal(err)
			}
			for _, w := range spec.Wasm {
				checkConfiguration(t, w.Config)
			}
		case "EnvoyProxy":
			checkTags(t, o.Spec)
			checkLog(t, o.Spec)
		}
	}
}

// checkMesh holds the mesh's configuration against Istio's type, and its log
// against what a log has to hold. The Telemetry switches that very log on.
func checkMesh(t *testing.T, content []byte) {
	var values struct{ MeshConfig json.RawMessage }
	decode(t, content, &values)
	mesh := new(meshv1alpha1.MeshConfig)
	if err := protojson.Unmarshal(values.MeshConfig, mesh); err != nil {
		t.Fatal(err)
	}
	checkLog(t, values.MeshConfig)
	objects, err := schema.Read(readFile(t, "istio/telemetry.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	logs := objects[0].Type.(*telemetryv1.Telemetry).AccessLogging
	if got, want := logs[0].Providers[0].Name, mesh.ExtensionProviders[0].Name; got != want {
		t.Errorf("the telemetry's provider is %q, the mesh's %q", got, want)
	}
}

// checkLog: the log has all that finds the cause of a refusal.
func checkLog(t *testing.T, text []byte) {
	for _, want := range envoy.LogFields() {
		if !strings.Contains(string(text), want) {
			t.Errorf("the access log lacks %s", want)
		}
	}
}

// checkTags: the tag rules are those of the bootstrap.
func checkTags(t *testing.T, spec []byte) {
	var proxy struct {
		Bootstrap struct {
			JSONPatches []struct {
				Op, Path string
				Value    map[string]string
			}
		}
	}
	if err := json.Unmarshal(spec, &proxy); err != nil {
		t.Fatal(err)
	}
	var bootstrap struct {
		StatsConfig struct {
			StatsTags []map[string]string `json:"stats_tags"`
		} `json:"stats_config"`
	}
	if err := yaml.Unmarshal(readFile(t, "compose/envoy.yaml"), &bootstrap); err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	for _, p := range proxy.Bootstrap.JSONPatches {
		if p.Op != "add" || p.Path != "/stats_config/stats_tags/-" {
			t.Errorf("patch %+v", p)
		}
		got = append(got, p.Value)
	}
	if diff := cmp.Diff(bootstrap.StatsConfig.StatsTags, got); diff != "" {
		t.Errorf("tags (-bootstrap +patches):\n%s", diff)
	}
}

func checkShell(t *testing.T, content []byte) {
	cmd := exec.Command("sh", "-n")
	cmd.Stdin = strings.NewReader(string(content))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// pinned are images of one version: a tag with three numbers.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?\d+\.\d+\.\d+$`)

// composeFile is as much of a compose file as is used here.
type composeFile struct {
	Name     string `json:"name"`
	Services map[string]struct {
		Image       string                                `json:"image"`
		Build       *struct{ Context, Dockerfile string } `json:"build"`
		Command     []string                              `json:"command"`
		Environment map[string]string                     `json:"environment"`
		Volumes     []string                              `json:"volumes"`
		Ports       []string                              `json:"ports"`
		DependsOn   map[string]map[string]string          `json:"depends_on"`
		Healthcheck struct {
			Test              []string
			Interval, Timeout string
			Retries           int
		} `json:"healthcheck"`
	} `json:"services"`
}

// envoyVersion is the default in an image with a variable.
var envoyVersion = regexp.MustCompile(`\$\{ENVOY_VERSION:-([^}]*)\}`)

func checkCompose(t *testing.T, content []byte) {
	var file composeFile
	decode(t, content, &file)
	for name, s := range file.Services {
		if s.Build == nil {
			if image := envoyVersion.ReplaceAllString(s.Image, "$1"); !pinned.MatchString(image) {
				t.Errorf("%s: image %s is not pinned", name, image)
			}
		} else if _, err := os.Stat(filepath.Join("compose", s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, v := range s.Volumes {
			host, _, _ := strings.Cut(v, ":")
			if host == "../../build/orgate.wasm" { // try.sh asks for it
				continue
			}
			if _, err := os.Stat(filepath.Join("compose", host)); err != nil || !strings.HasSuffix(v, ":ro") {
				t.Errorf("%s: volume %s: %v", name, v, err)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to the network", name, p)
			}
		}
		for other, condition := range s.DependsOn {
			if _, ok := file.Services[other]; !ok || condition["condition"] != "service_healthy" {
				t.Errorf("%s: depends on %s: %v", name, other, condition)
			}
		}
		h := s.Healthcheck
		for _, d := range []string{h.Interval, h.Timeout} {
			if _, err := time.ParseDuration(d); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(h.Test) < 3 || h.Test[0] != "CMD" || h.Retries == 0 {
			t.Errorf("%s: health check %v", name, h)
		}
		if h.Test[1] == "bash" {
			checkShell(t, []byte("bash -c '"+strings.ReplaceAll(h.Test[3], "'", `'\''`)+"'"))
		}
	}
	if got := file.Services["keycloak"].Environment["KC_HOSTNAME"]; got != keycloakURL {
		t.Errorf("Keycloak's name is %s, want %s", got, keycloakURL)
	}
	if !strings.Contains(string(readFile(t, "compose/try.sh")), "http://127.0.0.1:8180}") ||
		!slices.Contains(file.Services["keycloak"].Ports, "127.0.0.1:8180:8080") {
		t.Error("try.sh does not find Keycloak")
	}
}

// instructions of a Dockerfile.
func instructions(content []byte) []string {
	var list []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// checkImage: Istio and Envoy Gateway take images of one layer.
func checkImage(t *testing.T, content []byte) {
	if diff := cmp.Diff([]string{"FROM scratch", "COPY orgate.wasm /plugin.wasm"}, instructions(content)); diff != "" {
		t.Errorf("instructions (-want +got):\n%s", diff)
	}
}

func checkEchoImage(t *testing.T, content []byte) {
	image, _, _ := strings.Cut(strings.TrimPrefix(instructions(content)[0], "FROM "), " ")
	if !pinned.MatchString(image) {
		t.Errorf("image %s is not pinned", image)
	}
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(readFile(t, "../go.mod")))[1]
	if !strings.HasPrefix(image, "golang:"+wanted+".") {
		t.Errorf("image %s, want Go %s", image, wanted)
	}
}

// checkREADME: links lead somewhere.
func checkREADME(t *testing.T, content []byte) {
	links := regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(content), -1)
	for _, m := range links {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.FromSlash(m[1])); err != nil {
			t.Error(err)
		}
	}
	if len(links) == 0 {
		t.Error("no links")
	}
}

// The realms and the plugin's configuration agree, and try.sh asks for what the
// realms have.
func TestRealms(t *testing.T) {
	all := realms(t)
	c, err := config.Parse(string(readFile(t, "compose/orgate.json")))
	if err != nil {
		t.Fatal(err)
	}
	for _, issuer := range c.Issuers {
		r := all[issuer.Organization]
		if r == nil || !r.Enabled {
			t.Errorf("issuer %s: no realm %s", issuer.Name, issuer.Organization)
			continue
		}
		base := keycloakURL + "/realms/" + r.Realm
		jwks := issuer.SignatureValidation.JWKS
		if issuer.Issuer != base || jwks.URL+jwks.WellKnown != base+"/protocol/openid-connect/certs" && jwks.URL+
			jwks.WellKnown != base+"/.well-known/openid-configuration" {
			t.Errorf("issuer %s at %s, want %s", issuer.Issuer, jwks.URL+jwks.WellKnown, base)
		}
		if !slices.ContainsFunc(r.Clients, func(c client) bool {
			return slices.Contains(issuer.Audiences,
				configOf(c.ProtocolMappers, "oidc-audience-mapper", "included.custom.audience"))
		}) {
			t.Errorf("realm %s: no client has the audience %v", r.Realm, issuer.Audiences)
		}
		if claim := configOf(r.ClientScopes[0].ProtocolMappers, "oidc-hardcoded-claim-mapper",
			"claim.name"); claim != issuer.OrganizationClaim.Name {
			t.Errorf("realm %s: the organization is in %s, want %s", r.Realm, claim, issuer.OrganizationClaim.Name)
		}
		if claim := configOf(r.ClientScopes[0].ProtocolMappers, "oidc-usermodel-attribute-mapper",
			"claim.name"); claim != issuer.UsernameClaim.Name {
			t.Errorf("realm %s: the user's name is in %s, want %s", r.Realm, claim, issuer.UsernameClaim.Name)
		}
	}
	if u, err := url.Parse(keycloakURL); err != nil || u.Hostname() != "keycloak" {
		t.Errorf("%v %v", u, err)
	}
	for name, r := range all {
		for _, c := range r.Clients {
			scopes := append(slices.Clone(c.DefaultClientScopes), c.OptionalClientScopes...)
			for _, s := range scopes {
				if !slices.ContainsFunc(r.ClientScopes, func(known clientScope) bool {
					return known.Name == s
				}) {
					t.Errorf("realm %s: client %s: no scope %s", name, c.ClientID, s)
				}
			}
			if !c.Enabled || c.PublicClient || !c.ServiceAccountsEnabled || c.StandardFlowEnabled ||
				c.DirectAccessGrantsEnabled || c.Secret == "" {
				t.Errorf("realm %s: client %s is for client credentials alone", name, c.ClientID)
			}
		}
		for _, u := range r.Users {
			if u.Username != "service-account-"+u.ServiceAccountClientID || !u.Enabled {
				t.Errorf("realm %s: user %+v", name, u)
			}
		}
	}
	asked := regexp.MustCompile(`\$\(token (\S+) (\S+) (\S+)`).FindAllStringSubmatch(string(readFile(t,
		"compose/try.sh")), -1)
	if len(asked) != 6 {
		t.Errorf("try.sh asks for %d tokens, want 6", len(asked))
	}
}

// TestActionsArePinned by commit, with the version beside it. Tags can be moved.
func TestActionsArePinned(t *testing.T) {
	workflows, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	pin := regexp.MustCompile(`^ *(?:- )?uses: (?:\./\.github/workflows/[\w.-]+|[\w/.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$`)
	found := 0
	for _, file := range workflows {
		for line := range strings.Lines(string(readFile(t, file))) {
			if strings.Contains(line, "uses:") {
				found++
				if !pin.MatchString(strings.TrimRight(line, "\n")) {
					t.Errorf("%s: %s", file, line)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("%d actions", found)
	}
}

// TestRelease: the workflow runs the GoReleaser that "make snapshot" does.
func TestRelease(t *testing.T) {
	version := regexp.MustCompile(`goreleaser/v2@(\S+)`).FindStringSubmatch(string(readFile(t, "../Makefile")))
	if version == nil || !strings.Contains(string(readFile(t, "../.github/workflows/release.yml")),
		"version: "+version[1]+"\n") {
		t.Errorf("the workflow does not run GoReleaser %v", version)
	}
}

func TestWorkflow(t *testing.T) {
	content := readFile(t, workflow)
	var file struct {
		Name        string
		On          any
		Permissions map[string]string
		Jobs        map[string]struct {
			Strategy struct {
				Matrix map[string][]string
			}
			Steps []struct{ Run string }
		}
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	var versions []string
	var commands strings.Builder
	for _, job := range file.Jobs {
		versions = append(versions, job.Strategy.Matrix["envoy"]...)
		for _, s := range job.Steps {
			commands.WriteString(s.Run + "\n")
		}
	}
	newest := envoyVersion.FindStringSubmatch(string(readFile(t, "compose/compose.yaml")))[1]
	for _, want := range []string{"v1.33.", newest} {
		if !slices.ContainsFunc(versions, func(v string) bool { return strings.HasPrefix(v, want) }) {
			t.Errorf("Envoy %v, want %s among them", versions, want)
		}
	}
	for _, want := range []string{"make check test", "make build", "sh deploy/compose/try.sh"} {
		if !strings.Contains(commands.String(), want) {
			t.Errorf("nothing runs %s", want)
		}
	}
	if diff := cmp.Diff(map[string]string{"contents": "read"}, file.Permissions); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
}

// families are what the plugin's source says: metrics, and their labels.
func families(t *testing.T) map[string][]string {
	t.Helper()
	constant := regexp.MustCompile(`(?m)^\tfamily\w+ += "(\w+)" +// (?:counter|gauge) by (.+)$`)
	all := map[string][]string{}
	for _, m := range constant.FindAllStringSubmatch(string(readFile(t, "../filter/metrics.go")), -1) {
		all[m[1]] = strings.Split(m[2], ", ")
	}
	return all
}

// unseen are the metrics that the story does not lead to: its tokens are JWTs.
var unseen = []string{"orgate_headers_left_out", "orgate_introspections"}

// The plugin was seen to write the metrics that its source names, after the
// story, all of them but the unseen.
func TestMetrics(t *testing.T) {
	want := map[string]map[string]bool{}
	for family, labels := range families(t) {
		want[family] = map[string]bool{}
		for _, l := range labels {
			want[family][l] = true
		}
	}
	for _, family := range unseen {
		delete(want, family)
	}
	got := theStory(t).metrics
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-source +seen):\n%s", diff)
	}
}

// values are those that a label can have, for labels whose values are not names
// of the configuration.
func values(t *testing.T) map[string][]string {
	t.Helper()
	quoted := regexp.MustCompile("`(\\w+)`")
	_, rest, _ := strings.Cut(string(readFile(t, "../docs/configuration.md")), "`reason` is one of ")
	list, _, _ := strings.Cut(rest, ".\n")
	all := map[string][]string{"result": {"hit", "miss"}}
	for _, m := range quoted.FindAllStringSubmatch(list, -1) {
		all["reason"] = append(all["reason"], m[1])
	}
	constant := regexp.MustCompile(`(?m)^\tResult\w+ Result = "(\w+)"$`)
	for _, file := range []string{"../jwks/source.go", "../introspect/introspect.go"} {
		for _, m := range constant.FindAllStringSubmatch(string(readFile(t, file)), -1) {
			all["result"] = append(all["result"], m[1])
		}
	}
	if len(all["reason"]) < 10 || len(all["result"]) < 5 {
		t.Fatalf("values %v", all)
	}
	return all
}

// checkQuery: a query reads what the plugin writes.
func checkQuery(t *testing.T, text string) {
	t.Helper()
	for _, problem := range queryProblems(t, text) {
		t.Errorf("%s: %s", text, problem)
	}
}

func queryProblems(t *testing.T, text string) (problems []string) {
	t.Helper()
	selectors, err := parseQuery(text)
	if err != nil {
		return []string{err.Error()}
	}
	if len(selectors) == 0 {
		return []string{"reads no metric"}
	}
	known, metrics := values(t), families(t)
	for _, s := range selectors {
		labels, ok := metrics[s.metric]
		if !ok {
			problems = append(problems, "no metric "+s.metric)
			continue
		}
		for _, l := range s.labels {
			if !slices.Contains(labels, l) {
				problems = append(problems, fmt.Sprintf("%s has no label %s", s.metric, l))
			}
		}
		for l, list := range s.values {
			for _, v := range list {
				if known[l] != nil && !slices.Contains(known[l], v) {
					problems = append(problems, fmt.Sprintf("%s is never %s", l, v))
				}
			}
		}
	}
	return problems
}

func TestQueriesThatReadNothing(t *testing.T) {
	for text, want := range map[string]string{
		"sum(rate(orgate_request[5m]))":                      "no metric orgate_request",
		"sum by (rule) (orgate_jwks_keys)":                   "orgate_jwks_keys has no label rule",
		`orgate_jwks_keys{reason="ok"}`:                      "orgate_jwks_keys has no label reason",
		`sum(rate(orgate_requests{reason=~"ok|fine"}[5m]))`:  "reason is never fine",
		`sum(rate(orgate_jwks_fetches{result!="good"}[5m]))`: "result is never good",
		"1 > 0": "reads no metric",
	} {
		if diff := cmp.Diff([]string{want}, queryProblems(t, text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// TestMetricsInPages: what the documentation says of metrics is what the plugin
// writes.
func TestMetricsInPages(t *testing.T) {
	pages := []string{"README.md", "../README.md", "../RATIONALE.md"}
	for _, pattern := range []string{"../docs/*.md", "../docs/guides/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	mention := regexp.MustCompile("`(?:wasmcustom\\.)?(orgate_\\w+)(?:\\{([\\w,]+)\\})?")
	metrics, checked := families(t), 0
	for _, file := range pages {
		for _, m := range mention.FindAllStringSubmatch(string(readFile(t, file)), -1) {
			checked++
			labels, ok := metrics[m[1]]
			if !ok {
				t.Errorf("%s: no metric %s", file, m[1])
				continue
			}
			for l := range strings.SplitSeq(m[2], ",") {
				if l != "" && !slices.Contains(labels, l) {
					t.Errorf("%s: %s has no label %s", file, m[1], l)
				}
			}
		}
	}
	if checked < 5 {
		t.Errorf("%d metrics are mentioned", checked)
	}
}

func TestAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decode(t, readFile(t, "metrics/rules.yaml"), &file)
	names := map[string]bool{}
	label := regexp.MustCompile(`\$labels\.(\w+)`)
	for _, rule := range file.Groups[0].Rules {
		checkQuery(t, rule.Expr)
		if rule.For != "" {
			if _, err := time.ParseDuration(rule.For); err != nil {
				t.Error(err)
			}
		}
		if names[rule.Alert] || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" ||
			!slices.Contains([]string{"warning", "critical"}, rule.Labels["severity"]) {
			t.Errorf("alert %+v", rule)
		}
		names[rule.Alert] = true
		for _, m := range label.FindAllStringSubmatch(rule.Annotations["summary"]+rule.Annotations["description"], -1) {
			if !strings.Contains(rule.Expr, "by ("+m[1]+")") {
				t.Errorf("alert %s: there is no label %s to name", rule.Alert, m[1])
			}
		}
	}
}

// checkRulesTest: each alert has a test in which it fires and one in which it
// does not. "make test-alerts" has Prometheus run them.
func checkRulesTest(t *testing.T, content []byte) {
	var file struct {
		RuleFiles          []string `json:"rule_files"`
		EvaluationInterval string   `json:"evaluation_interval"`
		Tests              []struct {
			Name, Interval string
			InputSeries    []struct{ Series, Values string } `json:"input_series"`
			AlertRuleTest  []struct {
				EvalTime  string `json:"eval_time"`
				Alertname string
				ExpAlerts []struct {
					Labels      map[string]string `json:"exp_labels"`
					Annotations map[string]string `json:"exp_annotations"`
				} `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	decode(t, content, &file)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			fires[a.Alertname] = fires[a.Alertname] || len(a.ExpAlerts) > 0
			silent[a.Alertname] = silent[a.Alertname] || len(a.ExpAlerts) == 0
		}
	}
	for _, name := range alerts(t) {
		if !fires[name] || !silent[name] {
			t.Errorf("%s: a test in which it fires: %v, in which it does not: %v", name, fires[name], silent[name])
		}
		delete(fires, name)
	}
	if len(fires) > 0 {
		t.Errorf("there are no alerts %v", fires)
	}
}

// alerts are the names of the alerts.
func alerts(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(
		string(readFile(t, "metrics/rules.yaml")), -1) {
		names = append(names, m[1])
	}
	if len(names) < 5 {
		t.Fatalf("alerts %v", names)
	}
	return names
}

// TestRunbook: the page has a row for every reason, every alert, and a plugin that
// is not there.
func TestRunbook(t *testing.T) {
	page := string(readFile(t, "../docs/guides/operating.md"))
	row := func(name string) bool {
		return regexp.MustCompile("(?m)^\\|[^|]*`" + name + "`[^|]*\\|").MatchString(page)
	}
	var reasons []string
	for _, m := range regexp.MustCompile(`(?m)^\t\{[\w.]+, (?:"(\w+)"|ReasonFault), `).FindAllStringSubmatch(
		string(readFile(t, "../gate/refusal.go")), -1) {
		if reason := m[1]; reason != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	reasons = append(reasons, "internal", "ok", "public")
	if got := values(t)["reason"]; !cmp.Equal(slices.Sorted(slices.Values(reasons)),
		slices.Compact(slices.Sorted(slices.Values(got)))) {
		t.Errorf("reasons of docs/configuration.md %q, of the plugin %q", got, reasons)
	}
	_, troubleshooting, _ := strings.Cut(page, "## Troubleshooting by reason")
	for _, name := range append(reasons, alerts(t)...) {
		if !row(name) {
			t.Errorf("no row for %s", name)
		}
		if slices.Contains(reasons, name) && !strings.Contains(troubleshooting, "`"+name+"`") {
			t.Errorf("no row for the reason %s", name)
		}
	}
	if !strings.Contains(page, "\n## The plugin did not load\n") {
		t.Error("no section on a plugin that did not load")
	}
}

func TestDashboard(t *testing.T) {
	var dashboard struct {
		UID, Title    string
		SchemaVersion int
		Templating    struct {
			List []struct {
				Name  string
				Query any
			}
		}
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ RefID, Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(readFile(t, "metrics/dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	places, ids := map[[2]int]bool{}, map[int]bool{}
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	for _, p := range dashboard.Panels {
		place := [2]int{p.GridPos.X, p.GridPos.Y}
		if places[place] || ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 {
			t.Errorf("panel %q: place %v, id %d, %d targets", p.Title, place, p.ID, len(p.Targets))
		}
		places[place], ids[p.ID] = true, true
		for _, target := range p.Targets {
			checkQuery(t, target.Expr)
			for family := range families(t) {
				read[family] = read[family] || strings.Contains(target.Expr, family)
			}
			for _, m := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !regexp.MustCompile(`by \([^)]*\b` + m[1] + `\b`).MatchString(target.Expr) {
					t.Errorf("panel %q: the legend has no %s", p.Title, m[1])
				}
			}
		}
	}
	for family := range families(t) {
		if !read[family] {
			t.Errorf("no panel shows %s", family)
		}
	}
	variable := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)
	for _, v := range dashboard.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			m := variable.FindStringSubmatch(fmt.Sprint(q["query"]))
			if m == nil || !slices.Contains(families(t)[m[1]], m[2]) {
				t.Errorf("variable %s: %v", v.Name, q)
			}
		}
	}
}
