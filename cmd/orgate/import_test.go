package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestImportScripts runs the scripts that import resources, which are those of
// package apk's tests, in $APK.
func TestImportScripts(t *testing.T) {
	dir, err := filepath.Abs("internal/apk/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/import",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("APK", dir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}
