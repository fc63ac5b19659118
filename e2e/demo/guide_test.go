package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e/echo"
	"orgate/host/hosttest"
	"orgate/internal/page"
)

// TestMain is the tests, or the curl of the commands.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "curl" {
		os.Exit(m.Run())
	}
	if err := curl(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "curl:", err)
		os.Exit(1)
	}
}

// curl sends a GET with the headers of -H, or a POST with the form of -d, and
// prints the answer; with -i the status stands before it.
func curl(args []string) error {
	req, err := http.NewRequest(http.MethodGet, args[len(args)-1], nil)
	if err != nil {
		return err
	}
	form := url.Values{}
	for n, arg := range args[:len(args)-1] {
		value := args[n+1]
		switch name, rest, _ := strings.Cut(value, ": "); {
		case arg == "-d":
			name, rest, _ = strings.Cut(value, "=")
			form.Add(name, rest)
		case arg == "-H" && name == "host":
			req.Host = rest
		case arg == "-H":
			req.Header.Set(name, rest)
		}
	}
	if len(form) > 0 {
		req.Method, req.Body = http.MethodPost, io.NopCloser(strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if args[0] == "-si" {
		fmt.Println(res.Proto, res.Status)
	}
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}

// curlInPath puts this test's curl before others.
func curlInPath(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "curl")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// TestGuides walks through each guide with the commands that are printed for
// it, and through the index with those that it shows.
func TestGuides(t *testing.T) {
	guides, err := filepath.Glob("../../docs/guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	inProject(t)
	for _, guide := range guides {
		name := filepath.Base(guide)
		if name == "README.md" || strings.HasPrefix(name, "kubernetes-") { // those are e2e/kube's
			continue
		}
		t.Run(strings.TrimSuffix(name, ".md"), func(t *testing.T) {
			w := start(t, "docs/guides/"+name)
			if len(w.printed) < 5 {
				t.Fatalf("%d commands", len(w.printed))
			}
			for _, command := range w.printed {
				w.try(t, command)
			}
		})
	}
	t.Run("index", func(t *testing.T) {
		blocks, err := page.Read("docs/guides/README.md")
		if err != nil {
			t.Fatal(err)
		}
		var commands []string
		for _, b := range blocks {
			commands = append(commands, b.Commands()...)
		}
		if commands[0] != "make build" || commands[1] != "go run ./e2e/demo docs/guides/auth0.md" {
			t.Fatalf("the page begins with %q", commands[:2])
		}
		w := start(t, "docs/guides/auth0.md")
		commands = commands[2:]
		for n, c := range commands {
			commands[n] = strings.NewReplacer("http://127.0.0.1:8180", w.idp, "http://127.0.0.1:9000",
				w.upstream).Replace(c)
		}
		if diff := cmp.Diff(w.printed, commands[:min(len(w.printed), len(commands))]); diff != "" {
			t.Fatalf("commands (-printed +page):\n%s", diff)
		}
		for _, command := range commands {
			w.try(t, command)
		}
	})
}

// inProject goes to a folder with the pages, and with what "make build" makes.
func inProject(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "build"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "build"),
		"../../cmd/orgate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "build/orgate.wasm"), hosttest.Wasm(t), 0o644); err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(docs, filepath.Join(dir, "docs")); err != nil {
		t.Fatal(err)
	}
	curlInPath(t)
	t.Chdir(dir)
}

// walk is a guide that is followed.
type walk struct {
	printed       []string // commands
	idp, upstream string
	gateway       string   // of the "orgate run" that runs
	want          []string // headers at the upstream
}

// start runs the command on free ports.
func start(t *testing.T, file string) *walk {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	output, stdout := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--idp", "127.0.0.1:0", "--upstream", "127.0.0.1:0", file}, stdout, &stderr)
		_ = stdout.Close()
	}()
	w := &walk{}
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != 0 {
			t.Errorf("exit status %d: %s", status, &stderr)
		}
	})
	lines := bufio.NewScanner(output)
	for lines.Scan() && lines.Text() != "Ctrl-C ends it." {
		if strings.HasPrefix(lines.Text(), "build/") || strings.HasPrefix(lines.Text(), "curl ") {
			w.printed = append(w.printed, lines.Text())
		}
	}
	all := strings.Join(w.printed, "\n")
	for into, pattern := range map[*string]string{&w.idp: `--cluster \S+=(\S+)`, &w.upstream: `--upstream (\S+)`} {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(all); m != nil {
			*into = m[1]
		}
	}
	blocks, err := page.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	w.want = strings.Split(page.Texts(blocks, "text upstream")[0], "\n")
	slices.Sort(w.want)
	return w
}

// try runs a command as it is written, but "orgate run" on a free port, and
// looks whether it says what the guide does.
func (w *walk) try(t *testing.T, command string) {
	t.Helper()
	if strings.HasPrefix(command, "build/orgate run ") {
		w.gateway = serveGateway(t, command+" --listen 127.0.0.1:0 --workers 1")
		return
	}
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "http://127.0.0.1:8080", "http://"+w.gateway))
	out, err := cmd.CombinedOutput()
	refused := cmd.ProcessState.ExitCode() == 3 && strings.Contains(command, " explain ") && command != w.printed[2]
	if err != nil && !refused {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	text := string(out)
	switch {
	case strings.HasPrefix(command, "curl "):
		var saw echo.Answer
		if err := json.Unmarshal(out, &saw); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		var got []string
		for _, h := range saw.Headers {
			if strings.HasPrefix(h.Name, "x-") && h.Name != "x-request-id" {
				got = append(got, h.Name+": "+h.Value)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(w.want, got); diff != "" {
			t.Errorf("%s: headers (-guide +upstream):\n%s", command, diff)
		}
	case strings.Contains(command, " token "):
		if !strings.Contains(text, "The plugin lets the request pass.\n") {
			t.Errorf("%s:\n%s", command, text)
		}
	case strings.Contains(command, " check --online "):
		if !strings.Contains(text, "  used ") {
			t.Errorf("%s:\n%s", command, text)
		}
	case strings.Contains(command, " check "):
		if !strings.Contains(text, "no errors") {
			t.Errorf("%s:\n%s", command, text)
		}
	case strings.Contains(command, " explain "):
		want := []string{"The plugin answers 403 Forbidden.\n", "organization: the token is of another\n"}
		if command == w.printed[2] { // the request that passes; after it come those that are refused
			want = append([]string{"The plugin lets the request pass.\n"}, w.want...)
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q:\n%s", command, part, text)
			}
		}
	case !strings.Contains(command, " render "):
		t.Errorf("%s: what does it show?", command)
	}
}

// serveGateway runs "orgate run" until the test ends, and returns its address.
func serveGateway(t *testing.T, command string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+command)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	var log strings.Builder
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(&log, lines)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, &log)
		}
	})
	listening := regexp.MustCompile(`msg=listening .*address=(\S+)`)
	for {
		line, err := lines.ReadString('\n')
		log.WriteString(line)
		if m := listening.FindStringSubmatch(line); m != nil {
			return m[1]
		}
		if err != nil {
			t.Fatalf("%s does not listen:\n%s", command, &log)
		}
	}
}

func TestWhatCannotBeTried(t *testing.T) {
	busy, closeBusy, err := listen("127.0.0.1:0", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	defer closeBusy()
	address := strings.TrimPrefix(busy, "http://")
	for _, test := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"two pages", []string{"a", "b"}, 2, "usage: demo"},
		{"an unknown flag", []string{"--oops", "a"}, 2, "-oops"},
		{"a page that is not there", []string{"nothing.md"}, 1, "demo: open nothing.md"},
		{"a page with nothing to try", []string{"../../README.md"}, 1,
			"demo: ../../README.md: there is no configuration to try"},
		{"a port in use", []string{"--idp", address, "../../docs/guides/okta.md"}, 1, "demo: listen tcp " + address},
		{
			"the upstream's port in use", []string{"--idp", "127.0.0.1:0", "--upstream", address,
				"../../docs/guides/okta.md"},
			1, "demo: listen tcp " + address},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), append([]string{"--dir", t.TempDir()}, test.args...), &stdout, &stderr)
			if status != test.status || !strings.Contains(stderr.String(), test.says) || stdout.Len() > 0 {
				t.Errorf("exit status %d, %s%s", status, &stdout, &stderr)
			}
		})
	}
}
