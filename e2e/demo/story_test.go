package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"orgate/host/hosttest"
	"orgate/internal/page"
)

// plugin is a file with the built plugin.
func plugin(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "orgate.wasm")
	if err := os.WriteFile(file, hosttest.Wasm(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestStory(t *testing.T) {
	s, err := newStage(t.Context(), plugin(t), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	outcomes := s.tell(t.Context(), told)
	for _, o := range outcomes {
		t.Run(o.name, func(t *testing.T) {
			if !o.right() {
				t.Error(strings.Join(o.row(), " | "))
			}
		})
	}
	var table bytes.Buffer
	printTable(&table, outcomes)
	for line := range strings.Lines(table.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	blocks, err := page.Read("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(blocks, func(b page.Block) bool { return strings.Contains(b.Text+"\n", table.String()) }) {
		t.Errorf("README.md does not show this table:\n%s", &table)
	}
}

// A demonstration that cannot fail shows nothing.
func TestWrongExpectationsAreMarked(t *testing.T) {
	s, err := newStage(t.Context(), plugin(t), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	twice := orgOne("orders:read")
	twice["x-wso2-roles"] = "admin"
	wrong := []step{
		{name: "status", path: "/org1/orders", status: 403, code: "900902"},
		{name: "code", path: "/org1/orders", status: 401, code: "900901"},
		{name: "a header too few", path: "/org1/orders", tokens: fetchedOne("orders:read"), status: 200,
			identity: twice},
		{name: "a header too many", path: "/org1/orders", tokens: fetchedOne("orders:read"), status: 200,
			identity: nobody()},
		{name: "another value", path: "/org1/orders", tokens: fetchedOne("orders:read"), status: 200,
			identity: orgOne("orders:write")},
		{name: "no token to be had", path: "/org1/orders", tokens: fetchedOne("admin"), status: 200},
	}
	outcomes := s.tell(t.Context(), wrong)
	if n := countWrong(outcomes); n != len(wrong) {
		t.Errorf("%d wrong, want %d", n, len(wrong))
	}
	var table bytes.Buffer
	printTable(&table, outcomes)
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")[1:]
	says := []string{"401 900902, not 403 900902", "401 900902, not 401 900901", "wrong: x-wso2-roles",
		"wrong: x-wso2-consumer-key, x-wso2-organization",
		"org1 orders-app@clients; wrong: x-wso2-scopes", "invalid_scope"}
	for i, line := range lines {
		if !strings.HasPrefix(line, "✗") || !strings.Contains(line, says[i]) {
			t.Errorf("%s is not marked, or does not say %q: %s", wrong[i].name, says[i], line)
		}
	}
}

func TestExitStatusOfAWrongAnswer(t *testing.T) {
	defer func(before []step) { told = before }(told)
	told = []step{
		{name: "no token", path: "/org1/orders", status: 401, code: "900902"},
		{name: "no token", path: "/org1/orders", status: 200, identity: nobody()},
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"--wasm", plugin(t)}, &stdout, &stderr); status != 1 || stderr.Len() > 0 {
		t.Errorf("status %d, want 1; standard error %q", status, &stderr)
	}
	if want := "\n1 of 2 responses are not as they should be.\n"; !strings.HasSuffix(stdout.String(), want) {
		t.Errorf("standard output does not end with %q:\n%s", want, &stdout)
	}
}

func TestRun(t *testing.T) {
	wasm := plugin(t)
	tests := []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"the story", []string{"--wasm", wasm}, 0, `All \d+ responses are as they should be\.\n$`, `^$`},
		{"no plugin", []string{"--wasm", "missing.wasm"}, 1, `^$`,
			`^demo: open missing.wasm: no such file or directory \(make build builds the plugin\)\n$`},
		{"an unknown flag", []string{"--extra"}, 2, `^$`, `flag provided but not defined`},
		{"with the log", []string{"--wasm", wasm, "--log"}, 0, ``, `reason=organization`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), tt.args, &stdout, &stderr); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if !regexp.MustCompile(tt.stdout).Match(stdout.Bytes()) {
				t.Errorf("standard output does not match %s:\n%s", tt.stdout, &stdout)
			}
			if !regexp.MustCompile(tt.stderr).Match(stderr.Bytes()) {
				t.Errorf("standard error does not match %s:\n%s", tt.stderr, &stderr)
			}
			if strings.Contains(stdout.String()+stderr.String(), "eyJ") {
				t.Error("a token is printed")
			}
		})
	}
}

// TestServe runs the curl commands.
func TestServe(t *testing.T) {
	curlInPath(t)
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	status := make(chan int, 1)
	wasm := plugin(t)
	go func() {
		status <- run(ctx, []string{"--wasm", wasm, "--serve"}, write, io.Discard)
		write.Close()
	}()
	var output strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(output.String(), "Ctrl-C ends it."); {
		n, err := read.Read(buf)
		output.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v:\n%s", err, &output)
		}
	}
	commands := regexp.MustCompile(`(?m)^# .*: (\d+)\n(.*curl -si .*)$`).FindAllStringSubmatch(output.String(), -1)
	if len(commands) != 8 {
		t.Errorf("%d commands, want 8:\n%s", len(commands), &output)
	}
	for _, c := range commands {
		out, err := exec.Command("sh", "-c", c[2]).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 "+c[1]+" ") {
			t.Errorf("%s\n%v\n%s", c[0], err, out)
		}
	}
	stop()
	if _, err := io.Copy(io.Discard, read); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
}
