// Command benchtable reads what "go test -bench" prints and prints it again as
// it comes, with the benchmarks' lines as one table: a row for each benchmark, a
// column for each unit. Lines that are not of a benchmark are kept.
package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

// columns are the units in the order in which they are read best; others follow.
var columns = []string{"µs/op", "×bare", "hostcalls/op", "allocs/op", "B/op", "MiB"}

// processors is what "go test" puts behind a benchmark's name.
var processors = regexp.MustCompile(`-\d+$`)

// row is a benchmark's line: its values by their units.
type row struct {
	name   string
	values map[string]string
}

func run(in io.Reader, out io.Writer) error {
	var rows []row
	lines := bufio.NewScanner(in)
	failed := false
	for lines.Scan() {
		r, ok := parse(lines.Text())
		if ok {
			rows = append(rows, r)
			continue
		}
		failed = failed || strings.HasPrefix(lines.Text(), "FAIL") || strings.HasPrefix(lines.Text(), "--- FAIL")
		if _, err := fmt.Fprintln(out, lines.Text()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := table(rows, out); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("a benchmark failed")
	}
	return nil
}

// parse reads a line such as "BenchmarkX/y-4  100  1.5 µs/op  0.07 ×bare".
func parse(line string) (row, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
		return row{}, false
	}
	r := row{processors.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), ""), map[string]string{}}
	for i := 2; i < len(fields); i += 2 {
		r.values[fields[i+1]] = fields[i]
	}
	if r.values["ns/op"] == "0" { // of a benchmark that has a better figure
		delete(r.values, "ns/op")
	}
	return r, true
}

func table(rows []row, out io.Writer) error {
	if len(rows) == 0 {
		return nil
	}
	units := slices.DeleteFunc(slices.Clone(columns), func(unit string) bool {
		return !slices.ContainsFunc(rows, func(r row) bool { return r.values[unit] != "" })
	})
	for _, r := range rows {
		for _, unit := range slices.Sorted(maps.Keys(r.values)) {
			if !slices.Contains(units, unit) {
				units = append(units, unit)
			}
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%s\t%s\t\n", "benchmark", strings.Join(units, "\t"))
	for _, r := range rows {
		cells := []string{r.name}
		for _, unit := range units {
			cells = append(cells, r.values[unit])
		}
		fmt.Fprintf(w, "%s\t\n", strings.Join(cells, "\t"))
	}
	return w.Flush()
}
