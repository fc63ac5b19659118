package page_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/internal/page"
)

const example = "# Title\n\n```json token\n{}\n```\n\ntext\n\n```sh\n# first\nmake \\\n  build\n\nls   # all\n```\n"

func TestBlocks(t *testing.T) {
	got, err := page.Blocks(example)
	if err != nil {
		t.Fatal(err)
	}
	want := []page.Block{
		{Info: "json token", Text: "{}", Line: 4},
		{Info: "sh", Text: "# first\nmake \\\n  build\n\nls   # all", Line: 10},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"make build", "ls   # all"}, got[1].Commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"{}"}, page.Texts(got, "json token")); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func TestABlockThatDoesNotEnd(t *testing.T) {
	_, err := page.Blocks("text\n```json\n{}\n")
	if err == nil || err.Error() != "line 2: a block does not end" {
		t.Errorf("error %v", err)
	}
}

func TestParseRequest(t *testing.T) {
	got := page.ParseRequest("GET /orders?x=1\nhost: api.example.com\norigin: https://app.example.com")
	want := page.Request{Method: "GET", Path: "/orders?x=1", Host: "api.example.com",
		Headers: [][2]string{{"origin", "https://app.example.com"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}
