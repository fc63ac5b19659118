package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orgate/controller/translate"
)

// errRefused says which objects the API server does not take as they are, by
// their names.
type errRefused map[string]error

func (e errRefused) Error() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(e)) {
		all = append(all, e[name].Error())
	}
	return strings.Join(all, "; ")
}

// isRefusal reports whether an error is about an object and what is in it.
func isRefusal(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		errors.Is(err, errTheirs) || strings.Contains(err.Error(), "denied the request") // a webhook's words
}

// write writes what differs, in its order, and then deletes what is no longer
// wanted, in the other order. It stops at the first error: what comes later may
// need what failed, such as the TLS of a server. If objects of servers are refused
// it goes on to find all such, and leaves the plugin as it is.
func (p *pass) write(ctx context.Context, o *policy, wanted []*unstructured.Unstructured) error {
	live := map[string]*unstructured.Unstructured{}
	for _, l := range o.live {
		live[identity(l)] = l
	}
	refused := errRefused{}
	for _, w := range wanted {
		if translate.IsPlugin(w) && len(refused) > 0 {
			return refused
		}
		now, err := p.writeObject(ctx, o, w, live[identity(w)])
		if err != nil {
			err = fmt.Errorf("%s %s: %w", w.GetKind(), w.GetName(), err)
			if translate.IsPlugin(w) || !isRefusal(err) {
				return err
			}
			refused[w.GetName()] = err
			continue
		}
		delete(live, identity(w))
		*w = *now // with what the control plane says of it
	}
	for i := len(Written) - 1; i >= 0; i-- {
		for _, id := range slices.Sorted(maps.Keys(live)) {
			l := live[id]
			if l.GetKind() != Written[i].Kind || !metav1.IsControlledBy(l, o.object) {
				continue // what is not this policy's is left alone
			}
			if p.DryRun != nil {
				p.DryRun("delete", l)
				continue
			}
			if err := p.Client.Delete(ctx, l); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("%s %s: %w", l.GetKind(), l.GetName(), err)
			}
		}
	}
	return nil
}

func identity(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// writeObject writes an object if it differs, and returns it as it is then.
func (p *pass) writeObject(ctx context.Context, o *policy, wanted, live *unstructured.Unstructured) (
	*unstructured.Unstructured, error) {
	if live == nil {
		// Whatever has its name and not its labels is somebody's.
		live = &unstructured.Unstructured{}
		live.SetGroupVersionKind(wanted.GroupVersionKind())
		err := p.Reader.Get(ctx, client.ObjectKeyFromObject(wanted), live)
		if apierrors.IsNotFound(err) {
			live, err = nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if live != nil {
		if err := mayTake(o, live); err != nil {
			return nil, err
		}
		meddled, same := meddled(live), covers(live, wanted)
		last := p.written[identity(live)]
		if same && !meddled || last.sum == sum(wanted) && (last.before == live.GetResourceVersion() ||
			last.after == live.GetResourceVersion()) {
			return live, nil // or what is read is not yet what was written
		}
		if !meddled && translate.IsPlugin(wanted) {
			if err := p.mayRestart(o); err != nil {
				return nil, err
			}
		}
	}
	if p.DryRun != nil {
		p.DryRun("apply", wanted)
		return wanted, nil
	}
	now := wanted.DeepCopy()
	err := p.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(now), client.FieldOwner(Owner),
		client.ForceOwnership)
	if err != nil {
		return nil, err
	}
	if meddled(now) {
		// What others added does not go away by applying. And what they still own
		// would not go away with the next change.
		for _, part := range parts {
			if wanted.Object[part] != nil {
				now.Object[part] = wanted.DeepCopy().Object[part]
			}
		}
		now.SetManagedFields(slices.DeleteFunc(now.GetManagedFields(), isMeddling))
		if err := p.Client.Update(ctx, now, client.FieldOwner(Owner)); err != nil {
			return nil, err
		}
	}
	written := attempt{after: now.GetResourceVersion(), sum: sum(wanted)}
	if live != nil {
		written.before = live.GetResourceVersion()
		if translate.IsPlugin(wanted) {
			p.restarted(o)
		}
	}
	p.written[identity(now)] = written
	return now, nil
}

// attempt is a write: the versions before and after it, and what was wanted. If the
// API server changes what is written, the same is not written again.
type attempt struct {
	before, after string
	sum           [sha256.Size]byte
}

func sum(wanted *unstructured.Unstructured) [sha256.Size]byte {
	return sha256.Sum256(marshal(wanted.Object))
}

// mayTake refuses to take over what somebody else made. What "orgate render"
// wrote under the policy's name is taken over.
func mayTake(o *policy, live *unstructured.Unstructured) error {
	owner := metav1.GetControllerOf(live)
	if owner != nil && (owner.UID == o.UID || owner.Kind == translate.PolicyKind.Kind && owner.Name == o.Name) {
		return nil // of a policy of this name that was deleted, before its objects were
	}
	if owner == nil && live.GetLabels()[managedBy] == "orgate" && live.GetLabels()[partOf] == o.Name {
		return nil
	}
	return errTheirs
}

var errTheirs = errors.New("is there already, and was not made for this OrganizationPolicy: give the policy another " +
	"name, or delete the object")

// parts are the members of objects that are written.
var parts = []string{"spec", "data"}

// meddled reports whether somebody else has written to what this controller
// writes.
func meddled(o *unstructured.Unstructured) bool {
	return slices.ContainsFunc(o.GetManagedFields(), isMeddling)
}

func isMeddling(m metav1.ManagedFieldsEntry) bool {
	if m.Manager == Owner || m.Subresource != "" || m.FieldsV1 == nil {
		return false
	}
	return slices.ContainsFunc(parts, func(part string) bool {
		return strings.Contains(m.FieldsV1.GetRawString(), `"f:`+part+`"`)
	})
}

// covers reports whether an object has all that is wanted, and in free-form
// members nothing else: the API server adds defaults to the others.
func covers(live, wanted *unstructured.Unstructured) bool {
	for _, member := range []string{"labels", "annotations"} {
		w, _, _ := unstructured.NestedMap(wanted.Object, "metadata", member)
		l, _, _ := unstructured.NestedMap(live.Object, "metadata", member)
		if !has(l, w) {
			return false
		}
	}
	if owner := metav1.GetControllerOf(live); owner == nil || owner.UID != wanted.GetOwnerReferences()[0].UID {
		return false
	}
	for _, part := range parts {
		if !has(live.Object[part], wanted.Object[part]) {
			return false
		}
	}
	return true
}

// has reports whether a value has all members that another has.
func has(live, wanted any) bool {
	switch wanted := wanted.(type) {
	case nil:
		return true
	case map[string]any:
		live, ok := live.(map[string]any)
		if !ok {
			return len(wanted) == 0
		}
		for name, value := range wanted {
			if isFreeForm(name) {
				if !reflect.DeepEqual(normal(live[name]), normal(value)) {
					return false
				}
			} else if !has(live[name], value) {
				return false
			}
		}
		return true
	case []any:
		live, ok := live.([]any)
		if !ok || len(live) != len(wanted) {
			return false
		}
		for i := range wanted {
			if !has(live[i], wanted[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(normal(live), normal(wanted))
}

// isFreeForm reports whether a member holds the plugin's configuration.
func isFreeForm(name string) bool { return name == "config" || name == "pluginConfig" }

// normal makes values of two decoders comparable.
func normal(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var n any
	if json.Unmarshal(text, &n) != nil {
		return v
	}
	return n
}
