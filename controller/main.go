// Command controller keeps the plugin's configuration in a cluster of Kubernetes:
// TokenIssuers and OrganizationPolicies go in, the objects of Istio or Envoy
// Gateway come out.
//
// Package translate computes the desired objects, and package reconcile writes
// them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	request "sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/yaml"

	"orgate/controller/reconcile"
	"orgate/controller/translate"
)

// options are the flags.
type options struct {
	namespaces                    []string
	once, dryRun, elect           bool
	metrics, health, electionHome string
	restartsEvery                 time.Duration
}

func main() {
	var o options
	flag.Func("namespaces", "read these `NAMESPACES` alone, separated by commas; then policies can't select "+
		"namespaces by labels", func(list string) error {
		o.namespaces = slices.DeleteFunc(strings.Split(list, ","), func(name string) bool { return name == "" })
		return nil
	})
	flag.BoolVar(&o.once, "once", false,
		"make one pass, say what is not as it should be, and exit with status 1 if anything is")
	flag.BoolVar(&o.dryRun, "dry-run", false, "with --once: print what would be written, and write nothing")
	flag.BoolVar(&o.elect, "leader-elect", false, "work only while this is the leader of several")
	flag.StringVar(&o.electionHome, "leader-election-namespace", "",
		"keep the leader's Lease in `NAMESPACE`; by default the pod's own")
	flag.DurationVar(&o.restartsEvery, "restarts-every", 10*time.Second, "how often TokenIssuers may start a plugin "+
		"anew, after the first five times; 0: with each change")
	flag.StringVar(&o.metrics, "metrics-address", ":8080", "serve metrics on `ADDR`; 0: not at all")
	flag.StringVar(&o.health, "health-address", ":8081", "serve /healthz and /readyz on `ADDR`; 0: not at all")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler(), o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if o.dryRun && !o.once {
		return errors.New("--dry-run: only with --once")
	}
	if len(flag.Args()) > 0 {
		return fmt.Errorf("takes no arguments, got %q", flag.Args())
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS = -1 // the API server has its own fairness
	if o.once {
		return once(ctx, config, o, stdout, stderr)
	}
	return watch(ctx, config, o)
}

var errNotAsItShouldBe = errors.New("not everything is as it should be")

// once makes one pass.
func once(ctx context.Context, config *rest.Config, o options, stdout, stderr io.Writer) error {
	direct, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	r := &reconcile.Reconciler{Client: direct, Reader: direct, Namespaces: o.namespaces, Now: time.Now}
	var printed error
	if o.dryRun {
		r.DryRun = func(verb string, object *unstructured.Unstructured) {
			if printed == nil {
				printed = show(stdout, verb, object)
			}
		}
	}
	result, err := r.Pass(ctx)
	if err = errors.Join(err, printed); err != nil {
		return err
	}
	for _, p := range result.Policies {
		for _, c := range p.Conditions {
			switch {
			case c.Status != metav1.ConditionTrue:
				fmt.Fprintf(stderr, "OrganizationPolicy %s/%s: not %s (%s): %s\n", p.Namespace, p.Name, c.Type,
					c.Reason, c.Message)
			case c.Type == reconcile.Accepted && c.Message != "":
				fmt.Fprintf(stderr, "OrganizationPolicy %s/%s: note: %s\n", p.Namespace, p.Name, c.Message)
			}
		}
		tell(stderr, p.Issuers)
	}
	tell(stderr, result.Untaken)
	if !result.OK() {
		return errNotAsItShouldBe
	}
	return nil
}

// tell prints what keeps issuers from being used as they are.
func tell(to io.Writer, issuers []translate.Issuer) {
	for _, i := range issuers {
		if i.State != translate.Used {
			fmt.Fprintf(to, "TokenIssuer %s/%s: %s (%s): %s\n", i.Namespace, i.Name, i.State, i.Reason, i.Message)
		}
	}
}

// show prints an object that would be written.
func show(to io.Writer, verb string, o *unstructured.Unstructured) error {
	if verb == "delete" {
		_, err := fmt.Fprintf(to, "---\n# would be deleted: %s %s/%s\n", o.GetKind(), o.GetNamespace(), o.GetName())
		return err
	}
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to, "---\n%s", text)
	return err
}

// object is an object of a kind, to be watched.
func object(kind schema.GroupVersionKind) client.Object {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	return o
}

// metadata stands for the objects of a core kind without their content.
func metadata(kind string) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	return m
}

// watch watches until the context is done.
func watch(ctx context.Context, config *rest.Config, o options) error {
	ours, err := labels.Parse("app.kubernetes.io/managed-by=orgate")
	if err != nil {
		return err
	}
	caches := cache.Options{ByObject: map[client.Object]cache.ByObject{}}
	for _, kind := range reconcile.Written {
		if kind.Kind != "ConfigMap" && kind != reconcile.ExtensionPolicyKind {
			caches.ByObject[object(kind)] = cache.ByObject{Label: ours}
		}
	}
	if len(o.namespaces) > 0 {
		caches.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range o.namespaces {
			caches.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	m, err := ctrl.NewManager(config, ctrl.Options{
		Cache:                  caches,
		Client:                 client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Metrics:                metricsserver.Options{BindAddress: o.metrics},
		HealthProbeBindAddress: o.health,
		LeaderElection:         o.elect, LeaderElectionID: reconcile.Owner, LeaderElectionNamespace: o.electionHome,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return err
	}
	r := &reconcile.Reconciler{Client: m.GetClient(), Reader: m.GetAPIReader(), Namespaces: o.namespaces, Now: time.Now,
		RestartsEvery: o.restartsEvery, Events: m.GetEventRecorder(reconcile.Owner)}
	missing, err := watches(m, r, o)
	if err != nil {
		return err
	}
	if err := m.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := m.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := m.Add(manager.RunnableFunc(func(ctx context.Context) error {
		return awaitKinds(ctx, m.GetRESTMapper(), missing, cancel)
	})); err != nil {
		return err
	}
	if err := m.Start(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// watches has everything that a pass reads bring one about. It returns the kinds
// that the API server does not have: those of the other control plane.
func watches(m manager.Manager, r *reconcile.Reconciler, o options) (missing []schema.GroupVersionKind, err error) {
	// One request stands for all.
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []request.Request {
		return []request.Request{{NamespacedName: client.ObjectKey{Name: "all"}}}
	})
	issuers, err := m.GetRESTMapper().RESTMapping(translate.TokenIssuerKind, "v1alpha2", "v1alpha1")
	if err != nil {
		return nil, err
	}
	edited := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	b := ctrl.NewControllerManagedBy(m).Named("orgate").
		Watches(object(translate.PolicyKind), all, edited).
		Watches(object(issuers.GroupVersionKind), all, edited)
	for _, kind := range []string{"Secret", "ConfigMap"} {
		concerns := predicate.NewPredicateFuncs(func(o client.Object) bool {
			return o.GetLabels()["app.kubernetes.io/managed-by"] == "orgate" ||
				r.IsReferenced(kind, o.GetNamespace(), o.GetName())
		})
		b = b.WatchesMetadata(metadata(kind), all, builder.WithPredicates(concerns))
	}
	if len(o.namespaces) == 0 {
		b = b.WatchesMetadata(metadata("Namespace"), all, builder.WithPredicates(predicate.LabelChangedPredicate{}))
	}
	for _, kind := range reconcile.Written {
		if kind.Kind == "ConfigMap" {
			continue
		}
		switch _, err := m.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); {
		case meta.IsNoMatchError(err):
			missing = append(missing, kind)
		case err != nil:
			return nil, err
		default:
			b = b.Watches(object(kind), all)
		}
	}
	return missing, b.Complete(r)
}

// awaitKinds ends the program if a control plane is installed after it began:
// what it did not find then it does not watch.
func awaitKinds(ctx context.Context, mapper meta.RESTMapper, missing []schema.GroupVersionKind,
	end context.CancelCauseFunc) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Minute):
		}
		for _, kind := range missing {
			if _, err := mapper.RESTMapping(kind.GroupKind(), kind.Version); err == nil {
				end(fmt.Errorf("%s was installed: begin anew, to watch it", kind))
				return nil
			}
		}
	}
}
