package filter

import (
	"orgate/gate"
	"orgate/jwt"
)

// selfTest judges known requests, first with the gate alone and then with the
// whole plugin in a proxy that is played to it. The real one sees nothing of it.
func (vm *VM) selfTest(algorithms []string, arithmetic jwt.Arithmetic) error {
	t, err := gate.NewSelfTest(algorithms, arithmetic)
	if err != nil {
		return err
	}
	if err := t.Run(); err != nil {
		return err
	}
	p := vm.newPlugin(rehearsalID, t.Now)
	p.config, p.gate, p.metrics = t.Config, t.Gate, newMetrics()
	vm.rehearsal = p
	defer func() { vm.rehearsal = nil }()
	return rehearse(t)
}
