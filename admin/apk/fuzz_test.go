package apk_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"orgate/admin/apk"
	"orgate/config"
)

// FuzzImport: whatever the files hold, nothing is written with a problem, what
// is written is a configuration, and no secret is in it.
func FuzzImport(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, more := range []string{"testdata/charts/*.yaml", "testdata/keymanagers/*.json"} {
		found, err := filepath.Glob(more)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		result := apk.Import([]apk.Source{{Name: "f", Text: text}}, apk.Options{Namespace: "apk", TrustedCA: "/ca"})
		if (result.Configuration == nil) != (result.Problems() > 0) {
			t.Fatalf("a configuration: %v, with %d problems", result.Configuration != nil, result.Problems())
		}
		if result.Configuration == nil {
			return
		}
		if _, err := config.Parse(string(result.Configuration)); err != nil {
			t.Fatalf("%v\n%s", err, result.Configuration)
		}
		for _, secret := range []string{"PRIVATE KEY-----", "not-for-anybody"} {
			if bytes.Contains(append(result.Configuration, result.Clusters...), []byte(secret)) {
				t.Fatalf("%s was written", secret)
			}
		}
	})
}
