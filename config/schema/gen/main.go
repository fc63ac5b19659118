// Command gen writes what is derived from the configuration's types: the JSON
// Schema and the field tables of the reference page. It runs in the folder of
// package config, by go generate.
package main

import (
	"fmt"
	"os"

	"orgate/config/schema"
)

func main() {
	if err := generate("config.go", "schema.json", "../docs/configuration.md"); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func generate(source, schemaFile, pageFile string) error {
	doc, err := schema.Generate(source)
	if err != nil {
		return err
	}
	if err := os.WriteFile(schemaFile, doc, 0o644); err != nil {
		return err
	}
	page, err := os.ReadFile(pageFile)
	if err != nil {
		return err
	}
	filled, err := schema.Reference(string(page), source)
	if err != nil {
		return fmt.Errorf("%s: %w", pageFile, err)
	}
	return os.WriteFile(pageFile, []byte(filled), 0o644)
}
