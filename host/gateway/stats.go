package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// Admin is the gateway's administration side:
//
//	GET /stats   the plugin's counters and gauges, "name: value" lines sorted by name
//	GET /ready   200
func (g *Gateway) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		values := g.metrics.Values()
		for _, name := range slices.Sorted(maps.Keys(values)) {
			_, _ = fmt.Fprintf(w, "%s: %d\n", name, values[name])
		}
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "LIVE")
	})
	return mux
}
