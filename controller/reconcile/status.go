package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orgate/controller/translate"
)

// The conditions.
const (
	// Accepted: it can be used as it is.
	Accepted = "Accepted"
	// ResolvedRefs: what it refers to is there.
	ResolvedRefs = "ResolvedRefs"
	// Programmed: the control plane gives it to the proxies, as far as it says.
	Programmed = "Programmed"
)

// Reasons for conditions that are not true.
const (
	Invalid    = "Invalid"
	Conflicted = "Conflicted"
	Pending    = "Pending"
	NotWritten = "NotWritten"
	// WriteFailed: the API server has not taken something, for now.
	WriteFailed = "WriteFailed"
	// TargetNotFound: there is no Gateway of this name.
	TargetNotFound = "TargetNotFound"
	// PolicyNotProgrammed: the policy that takes the TokenIssuer is not.
	PolicyNotProgrammed = "PolicyNotProgrammed"
	Overridden          = "Overridden"
)

// set sets a condition of the policy.
func (o *policy) set(kind string, good bool, reason, message string) {
	status := metav1.ConditionFalse
	if good {
		status = metav1.ConditionTrue
	}
	o.conditions = slices.DeleteFunc(o.conditions, func(c metav1.Condition) bool { return c.Type == kind })
	o.conditions = append(o.conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: o.object.GetGeneration()})
	if kind == Programmed {
		o.programmed, o.pending = good, reason == Pending || reason == WriteFailed
	}
}

const stays = "nothing is written; what was written before stays"

// unwritten says what it means that nothing is written.
func (o *policy) unwritten() string {
	if o.looked && !slices.ContainsFunc(o.live, translate.IsPlugin) {
		return "nothing is written: no plugin guards the gateway"
	}
	return stays
}

// refuse says that the policy is not accepted.
func (o *policy) refuse(reason, message string) {
	o.set(Accepted, false, reason, message)
	o.set(ResolvedRefs, true, ResolvedRefs, "")
	o.set(Programmed, false, NotWritten, o.unwritten())
}

// unresolved says that the policy refers to something that is not there.
func (o *policy) unresolved(err error) {
	o.set(Accepted, true, Accepted, "")
	o.set(ResolvedRefs, false, string(translate.RefNotFound), err.Error())
	o.set(Programmed, false, NotWritten, o.unwritten())
}

// judge says what the control plane makes of what was written.
func (p *pass) judge(ctx context.Context, o *policy, objects []*unstructured.Unstructured) error {
	counts := map[translate.State]int{}
	for _, i := range o.issuers {
		counts[i.State]++
	}
	summary := fmt.Sprintf("%d TokenIssuers are used", counts[translate.Used])
	if n := counts[translate.LastGood]; n > 0 {
		summary += fmt.Sprintf(", %d as they last could be", n)
	}
	if n := counts[translate.LeftOut]; n > 0 {
		summary += fmt.Sprintf(", %d left out", n)
	}
	if p.DryRun != nil {
		o.set(Programmed, false, Pending, "dry run")
		return nil
	}
	if o.Spec.ControlPlane == translate.Istio {
		return p.judgeIstio(ctx, o, summary)
	}
	faults, waiting := []string{}, false
	reason := ""
	for _, object := range objects {
		for _, v := range verdicts(object) {
			switch {
			case v.waits:
				waiting = true
			case v.fault != "":
				reason = cmp.Or(reason, v.reason)
				faults = append(faults, v.fault)
			}
		}
	}
	taken, err := p.replaced(ctx, o)
	if err != nil {
		return err
	}
	if taken != "" {
		reason = cmp.Or(reason, Overridden)
		faults = append(faults, taken)
	}
	switch {
	case len(faults) > 0:
		o.set(Programmed, false, reason, strings.Join(faults, "; "))
	case waiting:
		o.set(Programmed, false, Pending, "Envoy Gateway has not said yet what it makes of it. Is there a Gateway "+
			o.Spec.TargetRef.Name+" in this namespace?")
	default:
		o.set(Programmed, true, Programmed, summary)
	}
	return nil
}

// judgeIstio says what there is to say though Istio gives a WasmPlugin no status.
func (p *pass) judgeIstio(ctx context.Context, o *policy, summary string) error {
	if o.Spec.TargetRef != nil {
		gateway := &metav1.PartialObjectMetadata{}
		gateway.SetGroupVersionKind(gatewayKind)
		err := p.Reader.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: o.Spec.TargetRef.Name}, gateway)
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			o.set(Programmed, false, TargetNotFound, fmt.Sprintf("there is no Gateway %s in this namespace, so no proxy "+
				"has the plugin", o.Spec.TargetRef.Name))
			p.again(lookAgain)
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading Gateway %s: %w", o.Spec.TargetRef.Name, err)
		}
	}
	o.set(Programmed, true, Programmed, summary+". Istio says nothing of its WasmPlugins, and has them in proxies of "+
		"this namespace alone: ask the gateway with \"orgate verify\"")
	return nil
}

var gatewayKind = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "Gateway"}

// lookAgain is when what is not watched is looked for again.
const lookAgain = 10 * time.Second

// again has another pass made after some time, if there is none before.
func (p *pass) again(after time.Duration) {
	if p.result.Again == 0 || after < p.result.Again {
		p.result.Again = after
	}
}

// verdict is what Envoy Gateway says of an object.
type verdict struct {
	waits         bool // nothing yet
	reason, fault string
}

// verdicts are those on an object. Backends have none that is not on the route as
// well.
func verdicts(o *unstructured.Unstructured) []verdict {
	at, means := "", ""
	switch o.GetKind() {
	case "EnvoyExtensionPolicy":
		at, means = "ancestors", "requests may pass unchecked"
	case "HTTPRoute":
		at, means = "parents", "there is no cluster to fetch keys through, and tokens of the issuers there get 503"
	case "BackendTLSPolicy":
		at, means = "ancestors", "keys can't be fetched over TLS, and tokens of the issuers there get 503"
	default:
		return nil
	}
	of, _, _ := unstructured.NestedSlice(o.Object, "status", at)
	if len(of) == 0 {
		return []verdict{{waits: true}}
	}
	var list []verdict
	for _, one := range of {
		for _, c := range conditions(one) {
			name := o.GetKind() + " " + o.GetName()
			switch {
			case c.ObservedGeneration < o.GetGeneration():
				list = append(list, verdict{waits: true})
			case (c.Type == "Accepted" || c.Type == "ResolvedRefs") && c.Status == metav1.ConditionFalse:
				means := means
				if o.GetKind() == ExtensionPolicyKind.Kind {
					means = cmp.Or(map[string]string{"Conflicted": "requests pass unchecked",
						"Invalid": "it answers every request with 500"}[c.Reason], means)
				}
				list = append(list, verdict{reason: c.Reason,
					fault: fmt.Sprintf("Envoy Gateway does not take %s: %s (%s): %s",
						name, means, c.Reason, c.Message)})
			case c.Type == Overridden && c.Status == metav1.ConditionTrue:
				list = append(list, verdict{reason: Overridden,
					fault: fmt.Sprintf("another EnvoyExtensionPolicy takes the "+
						"place of %s, and there requests pass unchecked: %s", name, c.Message)})
			}
		}
	}
	return list
}

// conditions are those of an element of a status.
func conditions(of any) []metav1.Condition {
	var read struct{ Conditions []metav1.Condition }
	text, err := json.Marshal(of)
	if err != nil || json.Unmarshal(text, &read) != nil {
		return nil
	}
	return read.Conditions
}

// replaced finds the policies of others that merge with the plugin's and have a
// list of plugins of their own: it replaces the list with orgate in it, and Envoy
// Gateway says "Merged".
func (p *pass) replaced(ctx context.Context, o *policy) (string, error) {
	all, err := p.list(ctx, ExtensionPolicyKind)
	if err != nil {
		return "", err
	}
	var names []string
	for _, other := range all {
		mergeType, _, _ := unstructured.NestedString(other.Object, "spec", "mergeType")
		plugins, _, _ := unstructured.NestedSlice(other.Object, "spec", "wasm")
		if mergeType == "" || len(plugins) == 0 {
			continue
		}
		ancestors, _, _ := unstructured.NestedSlice(other.Object, "status", "ancestors")
		for _, a := range ancestors {
			ancestor, _ := a.(map[string]any)
			name, _, _ := unstructured.NestedString(ancestor, "ancestorRef", "name")
			namespace, _, _ := unstructured.NestedString(ancestor, "ancestorRef", "namespace")
			if name == o.Spec.TargetRef.Name && cmp.Or(namespace, other.GetNamespace()) == o.Namespace {
				names = append(names, other.GetNamespace()+"/"+other.GetName())
			}
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	slices.Sort(names)
	return "the list \"wasm\" of EnvoyExtensionPolicy " + strings.Join(slices.Compact(names), ", ") +
		" replaces the one with orgate whatever its mergeType, and there requests pass unchecked", nil
}

// mostIssuers is how many issuers a policy's status names: an object has a limit,
// and each TokenIssuer has a status of its own.
const mostIssuers = 1000

// mostText is how many bytes the message of a condition may have.
const mostText = 4000

// brief cuts a text to so many bytes.
func brief(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const dots = " [...]"
	return strings.ToValidUTF8(text[:most-len(dots)], "") + dots
}

// statePolicy writes the policy's status.
func (p *pass) statePolicy(ctx context.Context, o *policy) error {
	issuers := []any{}
	for _, i := range o.issuers[:min(len(o.issuers), mostIssuers)] {
		entry := map[string]any{"namespace": i.Namespace, "name": i.Name, "issuer": brief(i.Issuer, 200),
			"organization": brief(i.Organization, 100), "state": string(i.State)}
		if i.Reason != "" {
			entry["reason"] = string(i.Reason)
		}
		if i.Message != "" {
			entry["message"] = brief(i.Message, 300)
		}
		issuers = append(issuers, entry)
	}
	return p.state(ctx, o.object, o.conditions, map[string]any{"issuers": issuers})
}

// stateIssuers writes the status of each TokenIssuer, as all policies have it.
func (p *pass) stateIssuers(ctx context.Context, result *Result) error {
	type verdict struct {
		policy *policy
		issuer translate.Issuer
	}
	of := map[string][]verdict{}
	for _, o := range p.policies {
		for _, i := range o.issuers {
			id := i.Namespace + "/" + i.Name
			of[id] = append(of[id], verdict{o, i})
		}
	}
	var faults []error
	for _, object := range p.issuers {
		s := &issuerStatus{accepted: true, resolved: true, programmed: true}
		verdicts := of[object.GetNamespace()+"/"+object.GetName()]
		state := translate.Used
		for _, v := range verdicts {
			s.add(v.policy, v.issuer)
			if v.issuer.State != translate.Used && state != translate.LeftOut {
				state = v.issuer.State
			}
		}
		if len(verdicts) == 0 {
			state = translate.LeftOut
			if by := p.takenBy(object); by != nil {
				s.programmed = false
				s.why(&s.faults, by, "is not as it should be, and "+by.unwritten())
			} else {
				untaken := fmt.Sprintf("no OrganizationPolicy takes TokenIssuers of namespace %q (spec.namespaces)",
					object.GetNamespace())
				s.accepted, s.programmed, s.reason = false, false, string(translate.NotPermitted)
				s.message = []string{untaken}
				result.Untaken = append(result.Untaken, translate.Issuer{Namespace: object.GetNamespace(),
					Name: object.GetName(), State: state, Reason: translate.NotPermitted, Message: untaken})
			}
		}
		result.Issuers[state]++
		faults = append(faults, p.state(ctx, object, s.conditions(object), nil))
	}
	return errors.Join(faults...)
}

// takenBy is the policy that takes a TokenIssuer, if there is one.
func (p *pass) takenBy(o *unstructured.Unstructured) *policy {
	for _, by := range p.policies {
		if by.Takes(o.GetNamespace(), p.labels[o.GetNamespace()]) {
			return by
		}
	}
	return nil
}

// issuerStatus is what all policies say of a TokenIssuer.
type issuerStatus struct {
	accepted, resolved, programmed bool
	pending                        bool // nothing but that keeps it from being programmed
	reason                         string
	message                        []string
	faults                         []string // of policies that are not programmed
}

func (s *issuerStatus) why(list *[]string, by *policy, message string) {
	*list = append(*list, fmt.Sprintf("OrganizationPolicy %s/%s: %s", by.Namespace, by.Name, message))
}

func (s *issuerStatus) add(by *policy, i translate.Issuer) {
	if i.Message != "" {
		s.why(&s.message, by, i.Message)
	}
	s.pending = (s.pending || s.programmed) && (by.programmed || by.pending) && i.State != translate.LeftOut
	s.programmed = s.programmed && by.programmed && i.State != translate.LeftOut
	if !by.programmed && i.State != translate.LeftOut {
		s.why(&s.faults, by, "is not programmed, and its status says why")
	}
	switch i.Reason {
	case "":
		return
	case translate.RefNotFound:
		s.resolved = false
	default:
		s.accepted = false
	}
	s.reason = string(i.Reason)
	if i.State == translate.LastGood {
		s.why(&s.message, by, "its last good form stays in use")
	}
}

func (s *issuerStatus) conditions(o *unstructured.Unstructured) []metav1.Condition {
	message := strings.Join(s.message, "; ")
	one := func(kind string, good, its bool, reason string) metav1.Condition {
		c := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind,
			ObservedGeneration: o.GetGeneration()}
		if !good {
			c.Status, c.Reason = metav1.ConditionFalse, reason
		}
		if its {
			c.Message = message
		}
		return c
	}
	programmed := one(Programmed, s.programmed, false, NotWritten)
	if !s.programmed && len(s.faults) > 0 {
		programmed.Reason, programmed.Message = PolicyNotProgrammed, strings.Join(s.faults, "; ")
	}
	if !s.programmed && s.pending {
		// Another's change says nothing about this one.
		programmed.Reason = Pending
		status, _, _ := unstructured.NestedMap(o.Object, "status")
		if was := meta.FindStatusCondition(read(status), Programmed); was != nil &&
			was.ObservedGeneration == o.GetGeneration() && was.Status == metav1.ConditionTrue {
			programmed = *was
		}
	}
	return []metav1.Condition{
		one(Accepted, s.accepted, s.resolved, s.reason),
		one(ResolvedRefs, s.resolved, !s.resolved, s.reason),
		programmed,
	}
}

// state writes conditions and what else there is in a status if they differ, and
// says as an Event what is new about them. A resource whose schema has no place
// for a status loses it: then the Event is all that there is.
func (p *pass) state(ctx context.Context, o *unstructured.Unstructured, conditions []metav1.Condition,
	more map[string]any) error {
	if p.DryRun != nil {
		return nil
	}
	var before []metav1.Condition
	old, _, _ := unstructured.NestedMap(o.Object, "status")
	before = read(old)
	now := slices.Clone(before)
	conditions = slices.Clone(conditions)
	for i := range conditions {
		conditions[i].Message = brief(conditions[i].Message, mostText)
	}
	for _, c := range conditions {
		c.LastTransitionTime = metav1.NewTime(p.Now())
		meta.SetStatusCondition(&now, c)
	}
	said := text(conditions)
	status := map[string]any{"conditions": now}
	for name, value := range more {
		status[name] = value
	}
	if has(old, normal(status)) {
		p.said[o.GetUID()] = said
		return nil
	}
	if p.said[o.GetUID()] != said {
		p.said[o.GetUID()] = said
		p.tell(o, conditions)
	}
	stated := string(marshal(more)) + said + fmt.Sprint(o.GetGeneration())
	if len(old) == 0 && p.stated[o.GetUID()] == stated {
		return nil // it was lost before
	}
	patch := map[string]any{"status": status}
	target := o.DeepCopy()
	err := p.Client.Status().Patch(ctx, target, client.RawPatch(mergePatch, marshal(patch)), client.FieldOwner(Owner))
	if err == nil || apierrors.IsNotFound(err) { // it is gone, or has no such subresource
		p.stated[o.GetUID()] = stated
		return nil
	}
	return fmt.Errorf("status of %s: %w", identity(o), err)
}

const mergePatch = "application/merge-patch+json"

// read reads the conditions of a status.
func read(status map[string]any) []metav1.Condition {
	var s struct{ Conditions []metav1.Condition }
	if len(status) > 0 {
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"Conditions": status["conditions"]},
			&s)
	}
	return s.Conditions
}

// text is what conditions say, without times and generations.
func text(conditions []metav1.Condition) string {
	var b strings.Builder
	for _, c := range conditions {
		fmt.Fprintln(&b, c.Type, c.Status, c.Reason, c.Message)
	}
	return b.String()
}

// mostNote is how many bytes an Event's note may have.
const mostNote = 1024

// tell says the first condition that is not as it should be, or that all are.
func (p *pass) tell(o *unstructured.Unstructured, conditions []metav1.Condition) {
	if p.Events == nil {
		return
	}
	for _, kind := range []string{Accepted, ResolvedRefs, Programmed} {
		c := meta.FindStatusCondition(conditions, kind)
		if c == nil || c.Status == metav1.ConditionTrue || c.Reason == Pending {
			continue
		}
		p.Events.Eventf(o, nil, "Warning", c.Reason, "Reconcile", "%s",
			brief(cmp.Or(c.Message, string(c.Type)+" is not true"), mostNote))
		return
	}
	if c := meta.FindStatusCondition(conditions, Programmed); c != nil && c.Status == metav1.ConditionTrue {
		p.Events.Eventf(o, nil, "Normal", Programmed, "Reconcile", "%s",
			brief(cmp.Or(c.Message, "it is in use"), mostNote))
	}
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and lists of them
	}
	return text
}
