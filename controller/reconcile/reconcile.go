// Package reconcile keeps the objects of a control plane as package translate
// computes them, and writes the resources' status.
//
// One pass judges all policies and all TokenIssuers. Only so does it see which
// policy takes a TokenIssuer, that none does, and which of two policies for one
// Gateway comes first.
//
// It writes by server-side apply, and only what differs: Istio starts the
// plugin's VM anew with each write. What others added to an object is removed:
// one field of a WasmPlugin, such as a match for another port, opens the API.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"orgate/controller/translate"
)

// Owner is the field manager of all that is written.
const Owner = "orgate-controller"

// The labels of all that is written.
const (
	managedBy = "app.kubernetes.io/managed-by"
	partOf    = "app.kubernetes.io/part-of"
)

// Written are the kinds of objects that are written. Their order is that of
// pruning, from the end.
var Written = []schema.GroupVersionKind{
	{Version: "v1", Kind: "ConfigMap"},
	{Group: "networking.istio.io", Version: "v1", Kind: "DestinationRule"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "BackendTLSPolicy"},
	{Group: "networking.istio.io", Version: "v1", Kind: "ServiceEntry"},
	{Group: "gateway.envoyproxy.io", Version: "v1alpha1", Kind: "Backend"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"},
	{Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilter"},
	ExtensionPolicyKind,
	{Group: "extensions.istio.io", Version: "v1alpha1", Kind: "WasmPlugin"},
}

// ExtensionPolicyKind is the kind of which objects of others can take the plugin
// away.
var ExtensionPolicyKind = schema.GroupVersionKind{Group: "gateway.envoyproxy.io", Version: "v1alpha1",
	Kind: "EnvoyExtensionPolicy"}

// Reconciler does it. Its fields are set before the first pass.
type Reconciler struct {
	// Client writes, and reads what may come from a cache: everything but the
	// content of Secrets and ConfigMaps, of which it reads the metadata.
	Client client.Client
	// Reader reads past the cache.
	Reader client.Reader
	// Events says on resources what their status may have no place for.
	Events events.EventRecorder
	// Namespaces are those that are read. None: all.
	Namespaces []string
	// DryRun is handed what would be written; then nothing is. Nil: write.
	DryRun func(verb string, o *unstructured.Unstructured)
	// Now is the time.
	Now func() time.Time
	// RestartsEvery is how often TokenIssuers may start a plugin anew, after the
	// first few times. Zero: with each change.
	RestartsEvery time.Duration

	mu         sync.Mutex
	referenced map[translate.Reference]bool

	stored  map[translate.Reference]*unstructured.Unstructured // as they were last read
	said    map[types.UID]string                               // the last Event
	stated  map[types.UID]string                               // the last status of a resource that does not keep it
	written map[string]attempt                                 // the last write, by identity
	good    map[types.UID][]*unstructured.Unstructured         // what was last wanted of each policy
	paces   map[types.UID]*pace
	refused map[types.UID]map[string]refusal // by the names of objects
}

// Result is what a pass found.
type Result struct {
	Policies []PolicyResult
	// Issuers counts TokenIssuers by state, those that no policy takes as left
	// out.
	Issuers map[translate.State]int
	// Untaken are those.
	Untaken []translate.Issuer
	// Again is when there is something to do, whatever happens. Zero: never.
	Again time.Duration
}

// PolicyResult is what there is to say of a policy.
type PolicyResult struct {
	Namespace, Name string
	Conditions      []metav1.Condition
	Issuers         []translate.Issuer
}

// OK reports whether everything is as it should be.
func (r *Result) OK() bool {
	for _, p := range r.Policies {
		programmed := meta.FindStatusCondition(p.Conditions, Programmed)
		if !meta.IsStatusConditionTrue(p.Conditions, Accepted) || !meta.IsStatusConditionTrue(p.Conditions, ResolvedRefs) ||
			programmed == nil || programmed.Status != metav1.ConditionTrue && programmed.Reason != Pending {
			return false
		}
	}
	return r.Issuers[translate.LastGood]+r.Issuers[translate.LeftOut] == 0
}

// Reconcile makes one pass, whatever the request is.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	result, err := r.Pass(ctx)
	if result == nil {
		return reconcile.Result{}, err
	}
	measure(result)
	if err != nil && result.Again > 0 {
		// With the error, the pass would be made again after a time that grows.
		log.FromContext(ctx).Error(err, "not everything could be written")
		err = nil
	}
	return reconcile.Result{RequeueAfter: result.Again}, err
}

// IsReferenced reports whether the last pass asked for a Secret or a ConfigMap.
func (r *Reconciler) IsReferenced(kind, namespace, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.referenced[translate.Reference{Kind: kind, Namespace: namespace, Name: name}]
}

// pass is what one pass knows.
type pass struct {
	*Reconciler
	policies []*policy
	issuers  []*unstructured.Unstructured
	labels   map[string]map[string]string
	wanted   map[translate.Reference]bool // what policies and TokenIssuers refer to
	result   *Result
}

// policy is a policy in a pass.
type policy struct {
	*translate.Policy
	object     *unstructured.Unstructured
	conditions []metav1.Condition
	issuers    []translate.Issuer
	programmed bool
	pending    bool // not yet, and what was programmed before is
	live       []*unstructured.Unstructured
	looked     bool // live is what there is
}

// Pass judges everything, writes what differs, and says what became of it. The
// error is of the API server: it is worth another try.
func (r *Reconciler) Pass(ctx context.Context) (*Result, error) {
	if r.said == nil {
		r.stored = map[translate.Reference]*unstructured.Unstructured{}
		r.said, r.stated, r.written = map[types.UID]string{}, map[types.UID]string{}, map[string]attempt{}
		r.good, r.paces = map[types.UID][]*unstructured.Unstructured{}, map[types.UID]*pace{}
		r.refused = map[types.UID]map[string]refusal{}
	}
	p := &pass{Reconciler: r, result: &Result{Issuers: map[translate.State]int{}}, wanted: map[translate.Reference]bool{}}
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	var faults []error
	first := map[string]*policy{}
	for _, o := range p.policies {
		if len(o.conditions) > 0 {
			continue // it could not be read
		}
		target := o.Target()
		if other := first[target]; other != nil {
			o.refuse(Conflicted, fmt.Sprintf("the older OrganizationPolicy %s/%s is for the same proxies",
				other.Namespace, other.Name))
			continue
		}
		first[target] = o
		if err := p.reconcile(ctx, o); err != nil {
			faults = append(faults, fmt.Errorf("OrganizationPolicy %s/%s: %w", o.Namespace, o.Name, err))
		}
	}
	result := p.result
	for _, o := range p.policies {
		faults = append(faults, p.statePolicy(ctx, o))
		result.Policies = append(result.Policies, PolicyResult{o.Namespace, o.Name, o.conditions, o.issuers})
	}
	faults = append(faults, p.stateIssuers(ctx, result))
	p.forget()
	return result, errors.Join(faults...)
}

// forget drops what is known of objects that are gone.
func (p *pass) forget() {
	there, kept := map[types.UID]bool{}, map[string]bool{}
	for _, o := range p.policies {
		there[o.UID] = true
		for _, l := range o.live {
			kept[identity(l)] = true
		}
		for _, g := range p.good[o.UID] {
			kept[identity(g)] = true
		}
	}
	for _, o := range p.issuers {
		there[o.GetUID()] = true
	}
	gone := func(id types.UID) bool { return !there[id] }
	maps.DeleteFunc(p.said, func(id types.UID, _ string) bool { return gone(id) })
	maps.DeleteFunc(p.stated, func(id types.UID, _ string) bool { return gone(id) })
	maps.DeleteFunc(p.good, func(id types.UID, _ []*unstructured.Unstructured) bool { return gone(id) })
	maps.DeleteFunc(p.paces, func(id types.UID, _ *pace) bool { return gone(id) })
	maps.DeleteFunc(p.refused, func(id types.UID, _ map[string]refusal) bool { return gone(id) })
	maps.DeleteFunc(p.written, func(id string, _ attempt) bool { return !kept[id] })
	maps.DeleteFunc(p.stored, func(ref translate.Reference, _ *unstructured.Unstructured) bool { return !p.wanted[ref] })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.referenced = p.wanted
}

// read reads everything but what is referred to.
func (p *pass) read(ctx context.Context) error {
	policies, err := p.list(ctx, translate.PolicyKind)
	if err != nil {
		return err
	}
	slices.SortFunc(policies, translate.Older)
	selects := false
	for _, o := range policies {
		read, err := translate.NewPolicy(o)
		at := &policy{Policy: read, object: o}
		if err != nil { // the resource's schema lets none through
			at.refuse(Invalid, err.Error())
		}
		selects = selects || read.SelectsNamespaces()
		p.policies = append(p.policies, at)
	}
	mapping, err := p.Client.RESTMapper().RESTMapping(translate.TokenIssuerKind, "v1alpha2", "v1alpha1")
	if err != nil {
		return err
	}
	if p.issuers, err = p.list(ctx, mapping.GroupVersionKind); err != nil {
		return err
	}
	// Whoever deletes one has it out of use, whatever a finalizer waits for.
	p.issuers = slices.DeleteFunc(p.issuers, func(o *unstructured.Unstructured) bool {
		return o.GetDeletionTimestamp() != nil
	})
	if !selects || len(p.Namespaces) > 0 {
		return nil
	}
	namespaces := &metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "NamespaceList"})
	if err := p.Client.List(ctx, namespaces); err != nil {
		return err
	}
	p.labels = map[string]map[string]string{}
	for _, n := range namespaces.Items {
		p.labels[n.Name] = n.Labels
	}
	return nil
}

// list lists the objects of a kind in the namespaces. A kind that is not there
// has none.
func (p *pass) list(ctx context.Context, kind schema.GroupVersionKind) ([]*unstructured.Unstructured, error) {
	namespaces := p.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var all []*unstructured.Unstructured
	for _, namespace := range namespaces {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := p.Client.List(ctx, list, client.InNamespace(namespace))
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
	}
	return all, nil
}

// reconcile translates a policy, writes what differs, and judges what the control
// plane says.
func (p *pass) reconcile(ctx context.Context, o *policy) error {
	if err := p.readLive(ctx, o); err != nil {
		return err
	}
	if o.SelectsNamespaces() && len(p.Namespaces) > 0 {
		o.refuse(Invalid, "namespaces are selected by labels, and this controller reads those alone that it was "+
			"told by "+
			"name: "+strings.Join(p.Namespaces, ", "))
		return nil
	}
	in := translate.Input{Policy: o.Policy, TokenIssuers: p.issuers, Labels: p.labels}
	var err error
	if in.Stored, err = p.resolve(ctx, o); err != nil {
		return err
	}
	// What exists may be what others made of it: it is read after a restart alone.
	if in.Live = p.good[o.UID]; in.Live == nil {
		in.Live = o.live
	}
	in.Refused = p.refusals(o)
	var out translate.Output
	var wanted []*unstructured.Unstructured
	for round := range mostRefusals {
		in.OnlyInUse = round == mostRefusals-1
		out = translate.Translate(in)
		switch {
		case out.Err != nil:
			o.refuse(Invalid, out.Err.Error())
			return nil
		case out.Unresolved != nil:
			o.unresolved(out.Unresolved)
			return nil
		}
		wanted = nil
		for _, object := range out.Objects {
			wanted = append(wanted, object.DeepCopy()) // as it is before it is written
		}
		err = p.write(ctx, o, out.Objects)
		refused, ok := errors.AsType[errRefused](err)
		if !ok {
			break
		}
		p.refuse(o, refused) // once more, without the issuers of these servers
		in.Refused = p.refusals(o)
	}
	o.issuers = out.Issuers
	o.set(Accepted, true, Accepted, strings.Join(out.Notes, "; "))
	o.set(ResolvedRefs, true, ResolvedRefs, "")
	p.good[o.UID] = wanted
	if later, ok := errors.AsType[errLater](err); ok {
		o.set(Programmed, false, Pending, later.Error())
		return nil
	}
	if err != nil {
		message := "what was written before stays: " + err.Error()
		if apierrors.IsForbidden(err) {
			message += ". In namespaces beside its own the controller needs a Role for what it writes"
		}
		o.set(Programmed, false, WriteFailed, message)
		return err
	}
	return p.judge(ctx, o, out.Objects)
}

// mostRefusals is how often a pass leaves out what the API server refuses. What
// comes in its place may be refused as well, so the last time there is only what is
// in use.
const mostRefusals = 5

// refusedFor is how long what is refused is not tried again: writing what goes with
// it, and deleting that again, would bring about the next pass.
const refusedFor = time.Minute

// refusal is what was refused, and when it is tried again.
type refusal struct {
	translate.Refusal
	until time.Time
}

// refusals are those of a policy.
func (p *pass) refusals(o *policy) map[string]translate.Refusal {
	list := map[string]translate.Refusal{}
	for name, r := range p.refused[o.UID] {
		wait := r.until.Sub(p.Now())
		if wait <= 0 {
			delete(p.refused[o.UID], name)
			continue
		}
		list[name] = r.Refusal
		p.again(wait)
	}
	return list
}

// refuse remembers what is refused: at first of those that are not in use with it,
// and then of all.
func (p *pass) refuse(o *policy, refused errRefused) {
	known := p.refused[o.UID]
	if known == nil {
		known = map[string]refusal{}
		p.refused[o.UID] = known
	}
	for name, err := range refused {
		_, again := known[name]
		known[name] = refusal{translate.Refusal{Err: err, All: again}, p.Now().Add(refusedFor)}
	}
}

// resolve reads what the policy and its TokenIssuers refer to. What is not there
// is left out. The content of a Secret is read again if its version has changed.
func (p *pass) resolve(ctx context.Context, o *policy) (map[translate.Reference]*unstructured.Unstructured, error) {
	var wanted []translate.Reference
	for _, i := range p.issuers {
		if o.Takes(i.GetNamespace(), p.labels[i.GetNamespace()]) {
			wanted = append(wanted, translate.References(i)...)
		}
	}
	if ref := o.SharingKey(); ref != nil {
		wanted = append(wanted, *ref)
	}
	p.mu.Lock()
	if p.referenced == nil {
		p.referenced = map[translate.Reference]bool{}
	}
	for _, ref := range wanted {
		p.referenced[ref.Object()] = true // before it is read: what comes after is an event
		p.wanted[ref.Object()] = true
	}
	p.mu.Unlock()
	there := map[translate.Reference]*unstructured.Unstructured{}
	for _, ref := range wanted {
		ref = ref.Object()
		if there[ref] != nil || len(validation.IsDNS1123Subdomain(ref.Name)) > 0 {
			continue // no such name exists, and it would be part of a path
		}
		kind := schema.GroupVersionKind{Version: "v1", Kind: ref.Kind}
		key := client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}
		metadata := &metav1.PartialObjectMetadata{}
		metadata.SetGroupVersionKind(kind)
		err := p.Client.Get(ctx, key, metadata)
		known := p.stored[ref]
		if err == nil && (known == nil || known.GetResourceVersion() != metadata.ResourceVersion) {
			known = &unstructured.Unstructured{}
			known.SetGroupVersionKind(kind)
			err = p.Reader.Get(ctx, key, known)
		}
		if apierrors.IsNotFound(err) {
			delete(p.stored, ref)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		there[ref], p.stored[ref] = known, known
	}
	return there, nil
}

// readLive reads what was written for the policy.
func (p *pass) readLive(ctx context.Context, o *policy) error {
	for _, kind := range Written {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		var reader client.Reader = p.Client
		if kind.Kind == "ConfigMap" {
			reader = p.Reader
		}
		err := reader.List(ctx, list, client.InNamespace(o.Namespace),
			client.MatchingLabels{managedBy: "orgate", partOf: o.Name})
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			if list.Items[i].GetDeletionTimestamp() == nil {
				o.live = append(o.live, &list.Items[i])
			}
		}
	}
	o.looked = true
	return nil
}
