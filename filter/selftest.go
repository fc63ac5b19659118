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
	vm.rehearsal = &plugin{
		vm: vm, now: t.Now, config: t.Config, gate: t.Gate, metrics: newMetrics(), room: gate.NewRoom[*stream](0, 0),
	}
	defer func() { vm.rehearsal = nil }()
	return rehearse(t)
}
