package main

import (
	"errors"
	"fmt"
	"strings"

	"orgate/admin/advice"
)

// errors is the error of a configuration with errors: a line for each,
// with its file, line, column and field.
func faults(file string, report *advice.Result) error {
	lines := make([]string, len(report.Errors))
	for i := range report.Errors {
		m := &report.Errors[i]
		lines[i] = place(file, m) + strings.TrimPrefix(m.Path+": "+m.Message, ": ")
	}
	return errors.New(strings.Join(lines, "\n"))
}

func place(file string, m *advice.Finding) string {
	return fmt.Sprintf("%s:%d:%d: ", file, m.Line, m.Column)
}

// located is an error about a configuration from somebody who knows no files: a
// line for each error, which gets the file and, if orgate sees the same
// error, its place.
func located(file, document string, lines []string) error {
	places := map[string]string{}
	report := advice.Read(document)
	for i := range report.Errors {
		m := &report.Errors[i]
		if m.Path != "" {
			places[m.Path+": "+m.Message] = place(file, m)
		}
	}
	for i, line := range lines {
		if at, ok := places[line]; ok {
			lines[i] = at + line
		} else {
			lines[i] = file + ": " + line
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}
