package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"orgate/admin/apk"
	"orgate/config"
	"orgate/deploy/schema"
	"orgate/internal/page"
	"orgate/internal/strictjson"
)

const root = "../.."

// TestPages checks every fenced block of every page, by the words behind its
// fence: a block that nobody checks is an error.
func TestPages(t *testing.T) {
	for _, file := range files(t, ".md") {
		t.Run(file, func(t *testing.T) {
			blocks, err := page.Read(filepath.Join(root, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range blocks {
				if err := checkBlock(b, blocks); err != nil {
					t.Errorf("%s:%d: %s: %v", file, b.Line, b.Info, err)
				}
			}
		})
	}
}

// TestLinks: every link to a file or a heading of the project leads there.
func TestLinks(t *testing.T) {
	fenced := regexp.MustCompile("(?ms)^```.*?^```$")
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	checked := 0
	for _, file := range files(t, ".md") {
		text := fenced.ReplaceAllString(readPage(t, file), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			to, heading, _ := strings.Cut(m[1], "#")
			target := file
			if to != "" {
				target = path.Join(path.Dir(file), to)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %v", file, err)
			} else if heading != "" && !slices.Contains(anchors(readPage(t, target)), heading) {
				t.Errorf("%s: %s has no heading %s", file, target, heading)
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d links", checked)
	}
}

// anchors are what headings are called in links.
func anchors(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func readPage(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// files are the project's files with the extension, but not what was built.
func files(t *testing.T, extension string) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == "build" || path == ".git"):
			return fs.SkipDir
		case !entry.IsDir() && filepath.Ext(path) == extension:
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no files *%s", extension)
	}
	return found
}

func checkBlock(b page.Block, all []page.Block) error {
	kind, rest, _ := strings.Cut(b.Info, " ")
	switch kind {
	case "json":
		switch word, _, _ := strings.Cut(rest, " "); word {
		case "", "configuration":
			_, err := config.Parse(b.Text)
			return err
		case "issuer":
			return checkIssuer(b.Text, all)
		case "token", "answer":
			_, err := strictjson.ParseObject(b.Text)
			return err
		case "keymanager":
			return problems(imported(b.Text))
		}
	case "yaml":
		return checkYAML(b.Text)
	case "sh":
		return checkShell(b.Commands())
	case "console":
		var commands []string
		for line := range strings.SplitSeq(b.Text, "\n") {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, command)
			}
		}
		return checkShell(commands)
	case "mermaid", "text", "":
		return nil
	}
	return errors.New("nobody checks such a block")
}

// checkIssuer reads members of an issuer in the place of those that the first
// issuer of the page's configuration has.
func checkIssuer(members string, all []page.Block) error {
	var configuration map[string]any
	if err := json.Unmarshal([]byte(page.Texts(all, "json configuration")[0]), &configuration); err != nil {
		return err
	}
	issuer := configuration["issuers"].([]any)[0].(map[string]any)
	if err := json.Unmarshal([]byte(members), &issuer); err != nil {
		return err
	}
	document, err := json.Marshal(configuration)
	if err != nil {
		return err
	}
	_, err = config.Parse(string(document))
	return err
}

func checkYAML(text string) error {
	for document := range strings.SplitSeq(text, "\n---\n") {
		var object struct{ Kind string }
		if err := yaml.UnmarshalStrict([]byte(document), &map[string]any{}); err != nil {
			return err
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return err
		}
		if object.Kind != "TokenIssuer" {
			_, err := schema.Read([]byte(text)) // it knows what stands beside the plugin
			return err
		}
	}
	return problems(imported(text))
}

func problems(result *apk.Result) error {
	for _, f := range result.Findings {
		if f.Problem {
			return errors.New(f.Message)
		}
	}
	return nil
}

func imported(text string) *apk.Result {
	return apk.Import([]apk.Source{{Name: "page", Text: text}}, apk.Options{Namespace: "default", TrustedCA: "ca"})
}

// TestImportOfTheGuides holds the configurations that the guides show against
// what "orgate import" makes of their resources.
func TestImportOfTheGuides(t *testing.T) {
	for _, c := range []struct {
		guide, info string
		which       int
		besides     func(*config.Issuer)
	}{
		{"migrating-from-apk", "yaml", 0, func(*config.Issuer) {}},
		{"migrating-from-api-manager", "json keymanager", 0, func(i *config.Issuer) {
			i.SignatureValidation.JWKS.URL = ""
			i.SignatureValidation.JWKS.WellKnown = "https://tenant.us.auth0.com/.well-known/openid-configuration"
			i.Audiences = []string{"https://localhost:9443"}
		}},
		{"migrating-from-api-manager", "json keymanager", 1, func(i *config.Issuer) {
			i.Audiences = []string{"https://localhost:9443"}
		}},
	} {
		t.Run(fmt.Sprint(c.guide, c.which), func(t *testing.T) {
			blocks, err := page.Read(root + "/docs/guides/" + c.guide + ".md")
			if err != nil {
				t.Fatal(err)
			}
			shown, err := config.Parse(page.Texts(blocks, "json configuration")[0])
			if err != nil {
				t.Fatal(err)
			}
			made, err := config.Parse(string(imported(page.Texts(blocks, c.info)[c.which]).Configuration))
			if err != nil {
				t.Fatal(err)
			}
			c.besides(&made.Issuers[0])
			if diff := cmp.Diff(made.Issuers, shown.Issuers); diff != "" {
				t.Errorf("issuers (-imported +guide):\n%s", diff)
			}
		})
	}
}

// TestCodeInText checks what stands between single backticks: commands, make
// targets and members of the configuration.
func TestCodeInText(t *testing.T) {
	fields := fieldsOfTheSchema(t)
	fenced := regexp.MustCompile("(?ms)^```.*?^```$")
	span := regexp.MustCompile("`([^`\n]+)`")
	member := regexp.MustCompile(`^"(\w+)":`)
	checked := 0
	for _, file := range files(t, ".md") {
		for _, m := range span.FindAllStringSubmatch(fenced.ReplaceAllString(readPage(t, file), ""), -1) {
			code := m[1]
			if field := member.FindStringSubmatch(code); field != nil {
				checked++
				if err := strictjson.CheckSyntax("{" + code + "}"); err != nil || !fields[field[1]] {
					t.Errorf("%s: `%s`: no member of the configuration (%v)", file, code, err)
				}
			}
			words := strings.Fields(code)
			if len(words) < 2 || words[1] == "run" && words[0] == "go" {
				continue
			}
			switch words[0] {
			case "orgate", "build/orgate":
				checked++
				if cmd, _, err := newRoot().Find(words[1:]); err != nil || cmd.Name() == "orgate" {
					t.Errorf("%s: `%s`: no such command", file, code)
				}
			case "make":
				checked++
				if err := checkMake(words[1:]); err != nil {
					t.Errorf("%s: `%s`: %v", file, code, err)
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d spans of code were checked", checked)
	}
}

func fieldsOfTheSchema(t *testing.T) map[string]bool {
	t.Helper()
	var schema struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	readJSON(t, root+"/config/schema.json", &schema)
	fields := map[string]bool{}
	for name := range schema.Properties {
		fields[name] = true
	}
	for _, def := range schema.Defs {
		for name := range def.Properties {
			fields[name] = true
		}
	}
	return fields
}

// TestExamplesInHelp: every command has examples, which it could run, says its
// exit status or belongs to one that does, and has a description of every flag.
func TestExamplesInHelp(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		commands := page.Block{Text: cmd.Example}.Commands()
		if len(commands) == 0 {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		if err := checkShell(commands); err != nil {
			t.Errorf("%s: %v", cmd.CommandPath(), err)
		}
		if !strings.Contains(cmd.Long, "exit status") &&
			(!cmd.HasParent() || !strings.Contains(cmd.Parent().Long, "exit status")) {
			t.Errorf("%s says nothing of its exit status", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

// checkShell checks command lines: a shell can read them, commands of orgate
// have the arguments and flags that are given to them, and targets of make and
// scripts are there.
func checkShell(lines []string) error {
	var problems []error
	for n := 0; n < len(lines); n++ {
		line := lines[n]
		for strings.HasSuffix(line, "|") && n+1 < len(lines) {
			n++
			line += " " + lines[n]
		}
		syntax := exec.Command("sh", "-n", "-c", line)
		if out, err := syntax.CombinedOutput(); err != nil {
			problems = append(problems, fmt.Errorf("%s: %s", line, out))
			continue
		}
		for _, words := range simpleCommands(line) {
			if err := checkCommand(words); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", line, err))
			}
		}
	}
	return errors.Join(problems...)
}

func checkCommand(words []string) error {
	switch words[0] {
	case "orgate", "build/orgate":
		return checkOrgate(words[1:])
	case "make":
		return checkMake(words[1:])
	case "sh":
		_, err := os.Stat(filepath.Join(root, words[1]))
		return err
	case "go":
		if len(words) > 2 && words[1] == "run" {
			_, err := os.Stat(filepath.Join(root, words[2]))
			return err
		}
	}
	return nil
}

// required are the flags whose usage says so.
var required = regexp.MustCompile(`(?m)--([\w-]+) .*\(required\)$`)

// checkOrgate takes a command line as far as cobra does before it runs it.
func checkOrgate(args []string) error {
	cmd := newRoot()
	cmd.InitDefaultCompletionCmd(args...)
	cmd, rest, err := cmd.Find(args)
	if err != nil {
		return err
	}
	if !cmd.Runnable() || !cmd.HasParent() {
		return errors.New("a command is missing")
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	problems := []error{cmd.ValidateArgs(cmd.Flags().Args())}
	for _, m := range required.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
		if !cmd.Flags().Changed(m[1]) {
			problems = append(problems, fmt.Errorf("--%s is missing", m[1]))
		}
	}
	return errors.Join(problems...)
}

func checkMake(words []string) error {
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		return err
	}
	for _, word := range words {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(word) + `:`).Match(makefile) {
			return fmt.Errorf("there is no target %s", word)
		}
	}
	return nil
}

// simpleCommands splits a line of shell into its commands and these into
// words, without redirections. It knows quotes and what the pages use.
func simpleCommands(line string) [][]string {
	var commands [][]string
	var words []string
	var word strings.Builder
	var quote rune
	started, redirected := false, false
	end := func() {
		if started && !redirected {
			words = append(words, word.String())
		}
		if started {
			redirected = false
		}
		word.Reset()
		started = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, started = r, true
		case quote != 0:
			word.WriteRune(r)
		case r == '#' && !started:
			return append(commands, words)
		case r == ' ':
			end()
		case r == '>' || r == '<':
			end()
			redirected = true
		case r == '|' || r == ';' || r == '&':
			end()
			if len(words) > 0 {
				commands, words = append(commands, words), nil
			}
		default:
			word.WriteRune(r)
			started = true
		}
	}
	end()
	if len(words) > 0 {
		commands = append(commands, words)
	}
	return commands
}

func TestSimpleCommands(t *testing.T) {
	got := simpleCommands(`a "b c" 'd|e' | f --g='h i' > out && j # k`)
	want := [][]string{{"a", "b c", "d|e"}, {"f", "--g=h i"}, {"j"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// What the tests of the pages are to find.
func TestBlocksWithMistakes(t *testing.T) {
	configuration := page.Block{Info: "json configuration", Text: `{"issuers": [{"name": "a", "issuer": "https://a.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"url": "https://a.example/keys", "cluster": "a"}}}]}`}
	if err := checkBlock(configuration, nil); err != nil {
		t.Fatal(err)
	}
	for _, b := range []page.Block{
		{Info: "json", Text: strings.Replace(configuration.Text, `"organization"`, `"organisation"`, 1)},
		{Info: "json issuer", Text: `{"roleClaim": "roles"}`},
		{Info: "json token", Text: `{"aud": 1, "aud": 2}`},
		{Info: "json keymanager", Text: `{"name": "a", "issuer": "https://a.example/", "certificates": {}}`},
		{Info: "json something", Text: `{}`},
		{Info: "toml", Text: ``},
		{Info: "yaml", Text: "a: 1\na: 2"},
		{Info: "yaml", Text: "kind: Gateway"},
		{
			Info: "yaml", Text: "apiVersion: dp.wso2.com/v1alpha2\nkind: TokenIssuer\nmetadata:\n  name: a\nspec:\n " +
				" name: a"},
		{Info: "sh", Text: "orgate check --stric orgate.json"},
		{Info: "sh", Text: "fetch |\n  build/orgate explain --token -"},
		{Info: "sh", Text: "orgate render --config orgate.json"},
		{Info: "sh", Text: "make biuld"},
		{Info: "sh", Text: "sh deploy/tri.sh"},
		{Info: "sh", Text: "go run ./e2e/nothing"},
		{Info: "sh", Text: "echo 'never ends"},
		{Info: "console", Text: "$ orgate chekc orgate.json"},
	} {
		if err := checkBlock(b, []page.Block{configuration}); err == nil {
			t.Errorf("%s: nothing is said of\n%s", b.Info, b.Text)
		}
	}
}

// TestConfigurations: every configuration that is a file of its own.
func TestConfigurations(t *testing.T) {
	checked := 0
	for _, file := range files(t, ".json") {
		if top, _, _ := strings.Cut(file, "/"); !slices.Contains([]string{"docs", "deploy"}, top) {
			continue
		}
		text := readPage(t, file)
		var document map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if document["issuers"] == nil {
			continue
		}
		checked++
		if _, err := config.Parse(text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if checked < 3 {
		t.Errorf("%d configurations", checked)
	}
}
