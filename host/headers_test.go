package host_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/host"
	"orgate/host/hosttest"
)

// randomHeaders are headers of sizes from nothing to 4 KiB.
func randomHeaders(random *rand.Rand, n int) host.Headers {
	headers := make(host.Headers, n)
	for i := range headers {
		size := random.IntN(4 << 10)
		switch random.IntN(8) {
		case 0:
			size = 0
		case 1:
			size = random.IntN(16)
		}
		value := make([]byte, size)
		for j := 0; j < size; j += 8 {
			word := random.Uint64()
			for k := j; k < min(j+8, size); k++ {
				value[k] = byte(word)
				word >>= 8
			}
		}
		headers[i] = [2]string{"x-" + strconv.Itoa(i), string(value)}
	}
	return headers
}

// TestHeadersSurviveCollections sends thousands of large headers to a guest
// that makes much garbage, and compares what it echoes.
func TestHeadersSurviveCollections(t *testing.T) {
	tests := []struct {
		name     string
		tags     []string
		requests int
		headers  int
	}{
		{"collections when they are due", nil, 2000, 40},
		{"collections at each hand-over and callback", []string{"orgate_gcstress"}, 30, 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				tt.requests /= 10
			}
			var logs []string
			vm, err := hosttest.Compile(t, "testdata/headers", tt.tags...).NewVM(host.Config{
				Log: func(level host.LogLevel, message string) {
					logs = append(logs, fmt.Sprintf("%d %s", level, message))
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Close()
			root, err := vm.NewRoot(host.RootConfig{})
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			for i := range tt.requests {
				sent := randomHeaders(random, tt.headers+random.IntN(4))
				stream := root.NewStream()
				if action := stream.RequestHeaders(sent, true); action != host.Continue {
					t.Fatalf("request %d: %s\n%v\n%s", i, action, vm.Err(), strings.Join(logs, "\n"))
				}
				if action := stream.ResponseHeaders(host.Headers{{":status", "200"}}, true); action != host.Continue {
					t.Fatalf("response %d: %s\n%v\n%s", i, action, vm.Err(), strings.Join(logs, "\n"))
				}
				if diff := cmp.Diff(sent, stream.ResponseHeaderMap()); diff != "" {
					t.Fatalf("request %d: %s", i, diff)
				}
				stream.Close()
			}
			calls := vm.HostCalls()
			if calls["poll_oneoff"] != 0 {
				t.Errorf("poll_oneoff was called %d times", calls["poll_oneoff"])
			}
		})
	}
}

// TestHeapShrinks holds many large requests at a time, lets them go and carries
// on with small ones: the runtime returns memory then, and must not sleep.
func TestHeapShrinks(t *testing.T) {
	t.Parallel()
	var logs []string
	vm, err := hosttest.Compile(t, "testdata/headers").NewVM(host.Config{
		Log: func(_ host.LogLevel, message string) { logs = append(logs, message) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	root, err := vm.NewRoot(host.RootConfig{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 2 {
		for _, load := range []struct{ requests, headers int }{{200, 40}, {4000, 4}} {
			var streams []*host.Stream
			for i := range load.requests {
				stream := root.NewStream()
				if action := stream.RequestHeaders(randomHeaders(random, load.headers), true); action != host.Continue {
					t.Fatalf("round %d, %d headers, request %d: %s\n%v\n%s", round, load.headers, i, action, vm.Err(),
						strings.Join(logs, "\n"))
				}
				if load.headers > 4 {
					streams = append(streams, stream)
				} else {
					stream.Close()
				}
			}
			for _, stream := range streams {
				stream.Close()
			}
		}
	}
	if n := vm.HostCalls()["poll_oneoff"]; n != 0 {
		t.Errorf("poll_oneoff was called %d times", n)
	}
}
