package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	const in = `goos: linux
BenchmarkRequest/hot/issuers=1-4     50000   0 ns/op   0.073 ×bare   15.2 µs/op   12.00 hostcalls/op   8.600 MiB
BenchmarkRequest/cold/issuers=1-4     5000   0 ns/op   1.240 ×bare  290.1 µs/op   12.10 hostcalls/op  12.00 MiB   40.00 allocs/op
BenchmarkBare/verification-4     5000   231000 ns/op
PASS
`
	const want = `goos: linux
PASS

                benchmark  µs/op  ×bare  hostcalls/op  allocs/op    MiB   ns/op
     Request/hot/issuers=1   15.2  0.073         12.00             8.600
    Request/cold/issuers=1  290.1  1.240         12.10      40.00  12.00
         Bare/verification                                               231000
`
	var out strings.Builder
	if err := run(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	// Where a line ends and how wide a column is does not matter.
	squeeze := func(s string) (lines [][]string) {
		for line := range strings.Lines(s) {
			lines = append(lines, strings.Fields(line))
		}
		return lines
	}
	if diff := cmp.Diff(squeeze(want), squeeze(out.String())); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, out.String())
	}
}

func TestFailureIsNotLost(t *testing.T) {
	var out strings.Builder
	if err := run(strings.NewReader("--- FAIL: BenchmarkX\nFAIL\n"), &out); err == nil || !strings.Contains(out.String(), "FAIL: BenchmarkX") {
		t.Errorf("error %v, output %q", err, out.String())
	}
}
