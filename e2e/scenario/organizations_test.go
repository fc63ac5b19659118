package scenario

import (
	"testing"

	"orgate/config"
	"orgate/e2e/scenario/grid"
)

// TestGridConfigurations: what is not among the cases is no configuration.
func TestGridConfigurations(t *testing.T) {
	for _, kind := range grid.Issuers {
		for _, source := range grid.Sources {
			_, err := config.Parse(Expand(gridConfig(kind, source)))
			if refused := err != nil; refused != kind.Refused() {
				t.Errorf("%s, %s: error %v", kind.Title, source.Title, err)
			}
		}
	}
}
