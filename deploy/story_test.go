package deploy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e/echo"
	"orgate/e2e/envoy"
	"orgate/host/gateway"
	"orgate/host/hosttest"
)

// performance is a run of try.sh against stand-ins for Keycloak and Envoy.
type performance struct {
	output string
	err    error
	// The plugin's metrics, as Prometheus gets them: families, and the labels
	// of each.
	metrics map[string]map[string]bool
}

// perform runs the story once for all tests.
var perform = sync.OnceValue(func() *performance { return new(performance) })

var performed sync.Once

func theStory(t *testing.T) *performance {
	t.Helper()
	p := perform()
	performed.Do(func() {
		provider := newKeycloak(t).start(t)
		location, g := startGateway(t, provider)
		p.output, p.err = try(t, location, provider)
		p.metrics = allMetrics(t, location, g)
	})
	return p
}

// allMetrics keeps the gateway busy until its ticks have written every metric:
// some say what changes within a second.
func allMetrics(t *testing.T, location string, g *gateway.Gateway) (metrics map[string]map[string]bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		metrics = prometheusMetrics(t, g)
		if len(metrics) >= len(families(t))-len(unseen) || time.Now().After(deadline) {
			return metrics
		}
		res, err := http.Get(location + "/public/prices")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
}

// startGateway serves the configuration of the compose file, in front of an
// API that answers with what it was sent.
func startGateway(t *testing.T, provider string) (location string, g *gateway.Gateway) {
	t.Helper()
	upstream := httptest.NewServer(echo.Handler())
	t.Cleanup(upstream.Close)
	g, err := gateway.New(gateway.Config{
		Plugin:        hosttest.Plugin(t),
		Configuration: readFile(t, "compose/orgate.json"),
		Upstream:      parseURL(t, upstream.URL),
		Clusters:      map[string]*url.URL{"keycloak": parseURL(t, provider)},
		Workers:       2,
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		if err := g.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		<-done
	})
	return "http://" + l.Addr().String(), g
}

// try runs "try.sh story".
func try(t *testing.T, gateway, keycloak string) (string, error) {
	t.Helper()
	cmd := exec.Command("sh", "compose/try.sh", "story")
	cmd.Env = append(os.Environ(), "GATEWAY="+gateway, "KEYCLOAK="+keycloak,
		"PATH="+shims(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func parseURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestStory(t *testing.T) {
	p := theStory(t)
	if p.err != nil || !strings.HasSuffix(p.output, "\nAll 19 responses are as they should be.\n") {
		t.Errorf("%v\n%s", p.err, p.output)
	}
	if strings.Contains(p.output, "eyJ") {
		t.Errorf("a token is printed:\n%s", p.output)
	}
}

// Without the plugin, every row that the plugin is there for is wrong.
func TestStoryWithoutThePlugin(t *testing.T) {
	upstream := httptest.NewServer(echo.Handler())
	defer upstream.Close()
	output, err := try(t, upstream.URL, newKeycloak(t).start(t))
	if err == nil {
		t.Error("the exit status is 0")
	}
	if got := strings.Count(output, "WRONG  "); got != 18 { // all but the public path without headers
		t.Errorf("%d rows are wrong, want 18:\n%s", got, output)
	}
}

func TestStoryWithoutKeycloak(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	output, err := try(t, server.URL, server.URL)
	if err == nil || !strings.Contains(output, "no token from "+server.URL) {
		t.Errorf("%v\n%s", err, output)
	}
}

// scene is a request of a story.
type scene struct{ Name, Path, Status, Code, Header string }

// The story is that of "make run".
func TestSameStoryAsTheDemonstration(t *testing.T) {
	want := demonstration(t)
	for i := range want {
		// Keycloak makes its own kids: a key of another provider cannot have
		// the same one.
		if want[i].Name == "signed by the other provider, same kid" {
			want[i].Name = "signed by another key, same kid"
		}
	}
	if diff := cmp.Diff(want, scenes(t)); diff != "" {
		t.Errorf("scenes (-demonstration +try.sh):\n%s", diff)
	}
}

// scenes are those of try.sh.
func scenes(t *testing.T) []scene {
	t.Helper()
	row := regexp.MustCompile(`(?m)^\trow ("[^"]*"|'[^']*') (\S+) (\d+) (\S+) (?:'[^']*'|"[^"]*")(.*)$`)
	header := regexp.MustCompile(`'(X-[^']*)'`)
	var list []scene
	for _, m := range row.FindAllStringSubmatch(string(readFile(t, "compose/try.sh")), -1) {
		s := scene{Name: m[1][1 : len(m[1])-1], Path: m[2], Status: m[3], Code: strings.TrimPrefix(m[4], "-")}
		if h := header.FindStringSubmatch(m[5]); h != nil {
			s.Header = h[1]
		}
		list = append(list, s)
	}
	return list
}

// demonstration reads the scenes out of the demonstration's source.
func demonstration(t *testing.T) []scene {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../e2e/demo/story.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := func(e ast.Expr) string {
		literal, ok := e.(*ast.BasicLit)
		if !ok {
			t.Fatalf("no literal: %v", e)
		}
		if s, err := strconv.Unquote(literal.Value); err == nil {
			return s
		}
		return literal.Value
	}
	var list []scene
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "story" {
			return true
		}
		for _, step := range spec.Values[0].(*ast.CompositeLit).Elts {
			var s scene
			for _, field := range step.(*ast.CompositeLit).Elts {
				pair := field.(*ast.KeyValueExpr)
				switch pair.Key.(*ast.Ident).Name {
				case "name":
					s.Name = text(pair.Value)
				case "path":
					s.Path = text(pair.Value)
				case "status":
					s.Status = text(pair.Value)
				case "code":
					s.Code = text(pair.Value)
				case "header":
					h := pair.Value.(*ast.CompositeLit)
					s.Header = text(h.Elts[0]) + ": " + text(h.Elts[1])
				}
			}
			list = append(list, s)
		}
		return false
	})
	if len(list) == 0 {
		t.Fatal("the demonstration has no story")
	}
	return list
}

// prometheusMetrics are the gateway's metrics after the tag rules of the
// compose file's bootstrap.
func prometheusMetrics(t *testing.T, g *gateway.Gateway) map[string]map[string]bool {
	t.Helper()
	bootstrap, err := envoy.Parse(readFile(t, "compose/envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tags, err := bootstrap.StatsTags()
	if err != nil {
		t.Fatal(err)
	}
	stats := httptest.NewRecorder()
	g.Admin().ServeHTTP(stats, httptest.NewRequest("GET", "/stats", nil))
	metrics := map[string]map[string]bool{}
	for line := range strings.Lines(stats.Body.String()) {
		name, _, _ := strings.Cut(line, ": ")
		family, labels := tags.Prometheus(name)
		if metrics[family] == nil {
			metrics[family] = map[string]bool{}
		}
		for label := range labels {
			metrics[family][label] = true
		}
	}
	return metrics
}
