package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"orgate/host"
)

// worker is one VM and the goroutine that owns it. Everything that touches the
// VM, its root or its streams runs on that goroutine, through do or post.
type worker struct {
	g     *Gateway
	log   *slog.Logger
	tasks chan func()
	stop  chan struct{} // closed by shutdown, once
	done  chan struct{} // closed by the loop as it ends

	stopOnce sync.Once

	callouts sync.WaitGroup
	ctx      context.Context // of callouts
	cancel   context.CancelFunc

	// The loop's own.
	vm        *host.VM
	root      *host.Root // nil while there is no VM
	live      map[*exchange]struct{}
	ticker    *time.Ticker
	period    time.Duration
	restart   *time.Timer
	failures  int
	startedAt time.Time
	startLog  *[]string // takes the error lines while the plugin starts
}

func newWorker(g *Gateway, id int) *worker {
	w := &worker{
		g:     g,
		log:   g.log.With("worker", id),
		tasks: make(chan func()),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
		live:  map[*exchange]struct{}{},
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// start boots the VM and runs the loop.
func (w *worker) start() error {
	var lines []string
	w.startLog = &lines
	err := w.boot()
	w.startLog = nil
	if err != nil {
		w.cancel()
		close(w.done)
		w.callouts.Wait()
		if errors.Is(err, host.ErrRefused) {
			return &RefusedError{Lines: lines}
		}
		return err
	}
	go w.loop()
	return nil
}

// boot makes and configures a VM.
func (w *worker) boot() error {
	clusters := make([]string, 0, len(w.g.config.Clusters))
	for name := range w.g.config.Clusters {
		clusters = append(clusters, name)
	}
	foreign := map[string]host.ForeignFunction{}
	if w.g.config.VerifySignature {
		foreign["verify_signature"] = host.VerifySignature
	}
	vm, err := w.g.config.Plugin.NewVM(host.Config{
		VMID:     "orgate",
		Env:      w.g.config.Env,
		Clusters: clusters,
		Callout:  w.callout,
		Shared:   w.g.shared,
		Metrics:  w.g.metrics,
		Foreign:  foreign,
		Log:      w.pluginLog,
		LogLevel: w.lowestLevel(),
	})
	if err != nil {
		return err
	}
	root, err := vm.NewRoot(host.RootConfig{Name: "orgate", Configuration: w.g.config.Configuration})
	if err != nil {
		_ = vm.Close()
		return err
	}
	w.vm, w.root, w.startedAt = vm, root, time.Now()
	return nil
}

var levels = [...]slog.Level{
	host.LogTrace:    slog.LevelDebug - 4,
	host.LogDebug:    slog.LevelDebug,
	host.LogInfo:     slog.LevelInfo,
	host.LogWarn:     slog.LevelWarn,
	host.LogError:    slog.LevelError,
	host.LogCritical: slog.LevelError + 4,
}

// lowestLevel is the lowest level that the logger takes, and at most error:
// what the plugin has against its configuration is not for the log alone.
func (w *worker) lowestLevel() host.LogLevel {
	for l := host.LogTrace; l < host.LogError; l++ {
		if w.log.Enabled(context.Background(), levels[l]) {
			return l
		}
	}
	return host.LogError
}

func (w *worker) pluginLog(level host.LogLevel, message string) {
	if w.vm != nil && w.vm.Err() != nil {
		return // trapped tells it
	}
	if level >= host.LogError && w.startLog != nil {
		*w.startLog = append(*w.startLog, message)
		return // whoever starts the gateway tells
	}
	w.log.Log(context.Background(), levels[min(level, host.LogCritical)], message, "source", "plugin")
}

// loop runs until shutdown.
func (w *worker) loop() {
	defer close(w.done)
	w.ticker = time.NewTicker(time.Hour)
	w.ticker.Stop()
	defer w.ticker.Stop()
	w.restart = time.NewTimer(time.Hour)
	w.restart.Stop()
	defer w.restart.Stop()
	for {
		w.settle()
		select {
		case f := <-w.tasks:
			f()
		case <-w.ticker.C:
			if w.root != nil {
				w.root.Tick()
			}
		case <-w.restart.C:
			w.reboot()
		case <-w.stop:
			if w.root != nil {
				w.root.Close()
				_ = w.vm.Close()
			}
			return
		}
	}
}

// settle does what may follow from any callback.
func (w *worker) settle() {
	if w.root == nil {
		return
	}
	if err := w.vm.Err(); err != nil {
		w.trapped(err)
		return
	}
	if p := w.root.TickPeriod(); p != w.period {
		w.period = p
		if p > 0 {
			w.ticker.Reset(p)
		} else {
			w.ticker.Stop()
		}
	}
}

// trapped gives up on the VM: requests on it are woken, to find themselves
// refused, and a new VM is made after a pause.
func (w *worker) trapped(err error) {
	for x := range w.live {
		x.changed(x.stream)
	}
	_ = w.vm.Close()
	w.vm, w.root, w.period = nil, nil, 0
	w.ticker.Stop()
	if time.Since(w.startedAt) > time.Minute {
		w.failures = 0
	}
	pause := w.pause()
	w.log.Error("the plugin's VM trapped", "error", err, "restart_in", pause)
	w.restart.Reset(pause)
}

// pause is how long to wait before the next restart.
func (w *worker) pause() time.Duration {
	d := w.g.config.backOff << min(w.failures, 10)
	w.failures++
	return min(d, 100*w.g.config.backOff)
}

func (w *worker) reboot() {
	if err := w.boot(); err != nil {
		pause := w.pause()
		w.log.Error("the plugin does not start again", "error", err, "restart_in", pause)
		w.restart.Reset(pause)
		return
	}
	w.log.Info("the plugin's VM was restarted")
}

// do runs f on the loop and waits for it. It reports false, and f did not run,
// if the worker is gone.
func (w *worker) do(f func()) bool {
	ran := make(chan struct{})
	if !w.post(func() { f(); close(ran) }) {
		return false
	}
	<-ran
	return true
}

// post runs f on the loop. It reports false, and f does not run, if the worker
// is gone. It must not be called on the loop itself.
func (w *worker) post(f func()) bool {
	select {
	case w.tasks <- f:
		return true
	case <-w.done:
		return false
	}
}

// shutdown ends callouts and the loop, and waits for them. It may be called
// more than once.
func (w *worker) shutdown() {
	w.cancel()
	w.stopOnce.Do(func() { close(w.stop) })
	<-w.done
	w.callouts.Wait()
}
