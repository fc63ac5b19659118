package reconcile

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/yaml"

	"orgate/controller/translate"
)

// cluster is an API server, and the controller.
type cluster struct {
	t      *testing.T
	client client.WithWatch
	events *events.FakeRecorder
	r      *Reconciler
	// writes are those that the controller made.
	writes []string
	// fails makes writes fail.
	fails func(write string) error
	// loses: the TokenIssuers' schema has no place for conditions.
	loses bool
}

func newCluster(t *testing.T, texts ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, events: events.NewFakeRecorder(1000)}
	known := runtime.NewScheme()
	kinds := append(slices.Clone(Written), translate.PolicyKind, gatewayKind,
		schema.GroupVersionKind{Version: "v1", Kind: "Secret"},
		schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, translate.TokenIssuerKind.WithVersion("v1alpha2"))
	mapper := meta.NewDefaultRESTMapper(nil)
	var withStatus []client.Object
	for _, kind := range kinds {
		known.AddKnownTypeWithName(kind, &unstructured.Unstructured{})
		known.AddKnownTypeWithName(kind.GroupVersion().WithKind(kind.Kind+"List"), &unstructured.UnstructuredList{})
		scope := meta.RESTScopeNamespace
		if kind.Kind == "Namespace" {
			scope = meta.RESTScopeRoot
		}
		mapper.Add(kind, scope)
		if kind.Kind != "Secret" && kind.Kind != "ConfigMap" && kind.Kind != "Namespace" {
			o := &unstructured.Unstructured{}
			o.SetGroupVersionKind(kind)
			withStatus = append(withStatus, o)
		}
	}
	note := func(verb, kind, name string) error {
		write := verb + " " + kind + " " + name
		if c.fails != nil {
			if err := c.fails(write); err != nil {
				return err
			}
		}
		c.writes = append(c.writes, write)
		return nil
	}
	c.client = fake.NewClientBuilder().WithScheme(known).WithRESTMapper(mapper).WithStatusSubresource(withStatus...).
		WithReturnManagedFields().Build()
	watched := interceptor.NewClient(c.client, interceptor.Funcs{
		Apply: func(ctx context.Context, to client.WithWatch, o runtime.ApplyConfiguration,
			options ...client.ApplyOption) error {
			u := o.(interface {
				GetKind() string
				GetName() string
			})
			if err := note("apply", u.GetKind(), u.GetName()); err != nil {
				return err
			}
			return to.Apply(ctx, o, options...)
		},
		Update: func(ctx context.Context, to client.WithWatch, o client.Object, options ...client.UpdateOption) error {
			if err := note("update", o.GetObjectKind().GroupVersionKind().Kind, o.GetName()); err != nil {
				return err
			}
			return to.Update(ctx, o, options...)
		},
		Delete: func(ctx context.Context, to client.WithWatch, o client.Object, options ...client.DeleteOption) error {
			if err := note("delete", o.GetObjectKind().GroupVersionKind().Kind, o.GetName()); err != nil {
				return err
			}
			return to.Delete(ctx, o, options...)
		},
		SubResourcePatch: func(ctx context.Context, to client.Client, sub string, o client.Object, patch client.Patch,
			options ...client.SubResourcePatchOption) error {
			kind := o.GetObjectKind().GroupVersionKind().Kind
			if err := note("status", kind, o.GetName()); err != nil {
				return err
			}
			if c.loses && kind == "TokenIssuer" {
				return nil
			}
			return to.SubResource(sub).Patch(ctx, o, patch, options...)
		},
	})
	c.r = &Reconciler{Client: watched, Reader: watched, Events: c.events,
		Now: func() time.Time { return time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC) }}
	for _, text := range append(texts, gateway) {
		c.apply(text)
	}
	return c
}

// apply makes or changes objects, as kubectl would.
func (c *cluster) apply(text string) {
	c.t.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		asJSON, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			c.t.Fatal(err)
		}
		if err := o.UnmarshalJSON(asJSON); err != nil {
			c.t.Fatal(err)
		}
		old := c.get(o.GetKind(), o.GetNamespace(), o.GetName())
		if old == nil {
			if o.GetUID() == "" {
				o.SetUID(types.UID(o.GetKind() + "-" + o.GetNamespace() + "-" + o.GetName()))
			}
			err = c.client.Create(c.t.Context(), o)
		} else {
			o.SetResourceVersion(old.GetResourceVersion())
			o.SetUID(old.GetUID())
			o.SetCreationTimestamp(old.GetCreationTimestamp())
			err = c.client.Update(c.t.Context(), o)
		}
		if err != nil {
			c.t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

func (c *cluster) kind(name string) schema.GroupVersionKind {
	for _, kind := range append(slices.Clone(Written), translate.PolicyKind, gatewayKind,
		schema.GroupVersionKind{Version: "v1", Kind: "Secret"},
		schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, translate.TokenIssuerKind.WithVersion("v1alpha2")) {
		if kind.Kind == name {
			return kind
		}
	}
	c.t.Fatal("no kind " + name)
	return schema.GroupVersionKind{}
}

func (c *cluster) get(kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(c.kind(kind))
	if err := c.client.Get(c.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		return nil
	}
	return o
}

// change changes an object as somebody else.
func (c *cluster) change(kind, namespace, name string, change func(o *unstructured.Unstructured)) {
	c.t.Helper()
	o := c.get(kind, namespace, name)
	if o == nil {
		c.t.Fatalf("no %s %s", kind, name)
	}
	change(o)
	if err := c.client.Update(c.t.Context(), o, client.FieldOwner("kubectl-edit")); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) delete(kind, namespace, name string) {
	c.t.Helper()
	if err := c.client.Delete(c.t.Context(), c.get(kind, namespace, name)); err != nil {
		c.t.Fatal(err)
	}
}

// pass makes a pass, and returns what it wrote.
func (c *cluster) pass() []string {
	c.t.Helper()
	c.writes = nil
	if _, err := c.r.Pass(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	return c.writes
}

// condition is a condition of a resource, in a line.
func (c *cluster) condition(kind, namespace, name, of string) string {
	c.t.Helper()
	o := c.get(kind, namespace, name)
	if o == nil {
		c.t.Fatalf("no %s %s", kind, name)
	}
	status, _, _ := unstructured.NestedMap(o.Object, "status")
	found := meta.FindStatusCondition(read(status), of)
	if found == nil {
		return "none"
	}
	return strings.TrimSuffix(fmt.Sprintf("%s %s: %s", found.Status, found.Reason, found.Message), ": ")
}

const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg, namespace: infra}`

const gatewayPolicy = `
apiVersion: orgate.io/v1alpha1
kind: OrganizationPolicy
metadata: {name: orgate, namespace: infra, uid: p1, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  controlPlane: EnvoyGateway
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: eg}
  image: {url: "registry.example.com/orgate:1.0.0"}
  namespaces:
  - {names: [one], organizations: [org1]}
  - {names: [two], organizations: [org2]}
  configuration: {organization: "*"}`

func istioPolicy() string {
	return strings.Replace(gatewayPolicy, "EnvoyGateway", "Istio", 1)
}

func tokenIssuer(namespace, name, org, keys string) string {
	return fmt.Sprintf(`
apiVersion: dp.wso2.com/v1alpha2
kind: TokenIssuer
metadata: {name: %s, namespace: %s}
spec: {name: idp, issuer: "https://%s.example.com/", organization: %s, consumerKeyClaim: azp, scopesClaim: scope, signatureValidation: {%s}}`,
		name, namespace, name, org, keys)
}

func location(host string) string { return `jwks: {url: "https://` + host + `/jwks"}` }

// issuers are those in the plugin's configuration.
func (c *cluster) issuers() []string {
	c.t.Helper()
	var names []string
	plugin := c.get("EnvoyExtensionPolicy", "infra", "orgate")
	if plugin == nil {
		return nil
	}
	wasm, _, _ := unstructured.NestedSlice(plugin.Object, "spec", "wasm")
	list, _, _ := unstructured.NestedSlice(wasm[0].(map[string]any), "config", "issuers")
	for _, i := range list {
		names = append(names, i.(map[string]any)["name"].(string))
	}
	return names
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// TestLife: what is applied is written in its order, once, and goes again.
func TestLife(t *testing.T) {
	c := newCluster(t, gatewayPolicy, tokenIssuer("one", "a", "org1", location("a.example.com")),
		tokenIssuer("two", "b", "org2", location("b.example.com")))
	diff(t, "writes", []string{
		"apply BackendTLSPolicy orgate-keys-a-example-com", "apply BackendTLSPolicy orgate-keys-b-example-com",
		"apply Backend orgate-keys-a-example-com", "apply Backend orgate-keys-b-example-com",
		"apply HTTPRoute orgate-keys-a-example-com", "apply HTTPRoute orgate-keys-b-example-com",
		"apply EnvoyExtensionPolicy orgate",
		"status OrganizationPolicy orgate", "status TokenIssuer a", "status TokenIssuer b"}, c.pass())
	diff(t, "issuers", []string{"one/a", "two/b"}, c.issuers())
	diff(t, "accepted", "True Accepted", c.condition("TokenIssuer", "one", "a", Accepted))
	diff(t, "again", []string(nil), c.pass())

	// After a restart, too.
	c.r = &Reconciler{Client: c.r.Client, Reader: c.r.Reader, Events: c.r.Events, Now: c.r.Now}
	diff(t, "after a restart", []string(nil), c.pass())

	c.apply(tokenIssuer("one", "a", "org1", location("c.example.com")))
	diff(t, "changed", []string{"apply BackendTLSPolicy orgate-keys-c-example-com",
		"apply Backend orgate-keys-c-example-com",
		"apply HTTPRoute orgate-keys-c-example-com", "apply EnvoyExtensionPolicy orgate",
		"delete HTTPRoute orgate-keys-a-example-com", "delete Backend orgate-keys-a-example-com",
		"delete BackendTLSPolicy orgate-keys-a-example-com"}, c.pass())

	c.delete("TokenIssuer", "one", "a")
	c.delete("TokenIssuer", "two", "b")
	c.pass()
	diff(t, "no issuer: the plugin stays, and takes no token", []string{"nobody"}, c.issuers())
}

// TestDrift: what others change is changed back, and what they add is removed,
// once.
func TestDrift(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("one", "a", "org1", location("a.example.com")))
	c.pass()
	before := c.get("WasmPlugin", "infra", "orgate").Object["spec"]
	tests := map[string]func(o *unstructured.Unstructured){
		"a field that opens": func(o *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(o.Object, "FAIL_OPEN", "spec", "failStrategy")
		},
		"a field that others added": func(o *unstructured.Unstructured) {
			_ = unstructured.SetNestedSlice(o.Object, []any{map[string]any{"mode": "SERVER"}}, "spec", "match")
		},
		"the configuration": func(o *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(o.Object, true, "spec", "pluginConfig", "forwardToken")
		},
		"an issuer less": func(o *unstructured.Unstructured) {
			_ = unstructured.SetNestedSlice(o.Object, nil, "spec", "pluginConfig", "issuers")
		},
		"the label": func(o *unstructured.Unstructured) {
			o.SetLabels(map[string]string{managedBy: "orgate", partOf: "orgate", "more": "is theirs"})
			_ = unstructured.SetNestedField(o.Object, "x", "spec", "url")
		},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			c.change("WasmPlugin", "infra", "orgate", tests[name])
			if writes := c.pass(); len(writes) == 0 || writes[0] != "apply WasmPlugin orgate" {
				t.Errorf("writes %q", writes)
			}
			diff(t, "spec", before, c.get("WasmPlugin", "infra", "orgate").Object["spec"])
			diff(t, "again", []string(nil), c.pass())
		})
	}
	c.delete("WasmPlugin", "infra", "orgate")
	diff(t, "deleted", []string{"apply WasmPlugin orgate"}, c.pass())
}

// TestNotOurs: nobody's objects are taken over, but those that "orgate render"
// wrote.
func TestNotOurs(t *testing.T) {
	theirs := `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: orgate, namespace: infra}
spec: {url: theirs}`
	c := newCluster(t, istioPolicy(), theirs)
	if _, err := c.r.Pass(t.Context()); err == nil {
		t.Error("no error")
	}
	diff(t, "programmed", "False WriteFailed: what was written before stays: WasmPlugin orgate: is there already, "+
		"and was not made for this "+
		"OrganizationPolicy: give the policy another name, or delete the object",
		c.condition("OrganizationPolicy", "infra", "orgate", Programmed))
	url, _, _ := unstructured.NestedString(c.get("WasmPlugin", "infra", "orgate").Object, "spec", "url")
	diff(t, "url", "theirs", url)

	c = newCluster(t, istioPolicy(), strings.Replace(theirs, "namespace: infra",
		"namespace: infra, labels: {app.kubernetes.io/managed-by: "+
			"orgate, app.kubernetes.io/part-of: orgate}", 1))
	c.pass()
	url, _, _ = unstructured.NestedString(c.get("WasmPlugin", "infra", "orgate").Object, "spec", "url")
	diff(t, "url", "oci://registry.example.com/orgate:1.0.0", url)

	// What a policy of this name left behind is.
	c.delete("OrganizationPolicy", "infra", "orgate")
	c.apply(strings.Replace(istioPolicy(), "uid: p1", "uid: p2", 1))
	diff(t, "left behind", "apply WasmPlugin orgate", c.pass()[0])
	diff(t, "again", []string(nil), c.pass())

	// Nor is what else has the label deleted.
	c.apply(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: theirs, namespace: infra, labels: {app.kubernetes.io/managed-by: orgate, app.kubernetes.io/part-of: orgate}}
spec: {hosts: [a]}`)
	diff(t, "writes", []string(nil), c.pass())
}

// TestSecrets: a Secret that comes, changes and goes.
func TestSecrets(t *testing.T) {
	secret := func(key string) string {
		return `
apiVersion: v1
kind: Secret
metadata: {name: signer, namespace: one}
data: {key: ` + key + `}`
	}
	c := newCluster(t, gatewayPolicy, tokenIssuer("one", "a", "org1",
		"certificate: {secretRef: {name: signer, key: key}}"),
		tokenIssuer("two", "b", "org2", location("b.example.com")))
	c.pass()
	diff(t, "without the Secret", []string{"two/b"}, c.issuers())
	diff(t, "condition", "False RefNotFound: OrganizationPolicy infra/orgate: Secret one/signer does not exist",
		c.condition("TokenIssuer", "one", "a", ResolvedRefs))
	if !c.r.IsReferenced("Secret", "one", "signer") || c.r.IsReferenced("Secret", "two", "signer") {
		t.Error("the wrong Secrets are watched")
	}
	c.apply(secret(signer(t)))
	c.pass()
	diff(t, "with it", []string{"one/a", "two/b"}, c.issuers())
	diff(t, "condition", "True ResolvedRefs", c.condition("TokenIssuer", "one", "a", ResolvedRefs))

	old := c.get("EnvoyExtensionPolicy", "infra", "orgate").Object["spec"]
	c.apply(secret(signer(t)))
	diff(t, "rotated", []string{"apply EnvoyExtensionPolicy orgate"}, c.pass())
	rotated := c.get("EnvoyExtensionPolicy", "infra", "orgate").Object["spec"]
	if cmp.Equal(old, rotated) {
		t.Error("the old key is still there")
	}
	c.delete("Secret", "one", "signer")
	c.pass()
	diff(t, "gone: the last good form", rotated, c.get("EnvoyExtensionPolicy", "infra", "orgate").Object["spec"])
	diff(t, "condition", "False RefNotFound: OrganizationPolicy infra/orgate: Secret one/signer does not exist; "+
		"OrganizationPolicy "+
		"infra/orgate: its last good form stays in use", c.condition("TokenIssuer", "one", "a", ResolvedRefs))

	c.change("EnvoyExtensionPolicy", "infra", "orgate",
		func(o *unstructured.Unstructured) { o.Object["spec"] = map[string]any{} })
	c.pass()
	diff(t, "drift does not take it away", rotated, c.get("EnvoyExtensionPolicy", "infra", "orgate").Object["spec"])
	c.r = &Reconciler{Client: c.r.Client, Reader: c.r.Reader, Events: c.r.Events, Now: c.r.Now}
	c.pass()
	diff(t, "nor does a restart", rotated, c.get("EnvoyExtensionPolicy", "infra", "orgate").Object["spec"])
}

// TestSecretNames: a name that can't be one is not asked for.
func TestSecretNames(t *testing.T) {
	c := newCluster(t, gatewayPolicy, tokenIssuer("one", "a", "org1",
		"certificate: {secretRef: {name: ../../two/secrets/victim, key: key}}"))
	r := interceptor.NewClient(c.client, interceptor.Funcs{Get: func(ctx context.Context, to client.WithWatch,
		key client.ObjectKey, o client.Object, options ...client.GetOption) error {
		if strings.Contains(key.Name, "victim") {
			t.Errorf("%s is asked for", key)
		}
		return to.Get(ctx, key, o, options...)
	}})
	c.r.Client, c.r.Reader = r, r
	c.pass()
	if got := c.condition("TokenIssuer", "one", "a", ResolvedRefs); !strings.HasPrefix(got, "False RefNotFound") {
		t.Errorf("condition %s", got)
	}
}

// signer is a key as a Secret has it.
func signer(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestPolicies: two for one Gateway, and one with a mistake.
func TestPolicies(t *testing.T) {
	younger := strings.NewReplacer("name: orgate, namespace", "name: second, namespace", "uid: p1", "uid: p2", "01-01T",
		"01-02T").Replace(gatewayPolicy)
	c := newCluster(t, younger, gatewayPolicy, tokenIssuer("one", "a", "org1", location("a.example.com")))
	c.pass()
	diff(t, "the younger", "False Conflicted: the older OrganizationPolicy infra/orgate is for the same proxies",
		c.condition("OrganizationPolicy", "infra", "second", Accepted))
	if c.get("EnvoyExtensionPolicy", "infra", "second") != nil {
		t.Error("it was written")
	}
	diff(t, "the older", "True Accepted: one/a.audiences: the audience is not checked: a token that one/a issued for "+
		"any other service is good here, too", c.condition("OrganizationPolicy", "infra", "orgate", Accepted))

	diff(t, "the younger guards nothing", "False NotWritten: "+stays,
		c.condition("OrganizationPolicy", "infra", "second", Programmed))

	before := c.get("EnvoyExtensionPolicy", "infra", "orgate")
	c.change("OrganizationPolicy", "infra", "orgate", func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, "org1", "spec", "configuration", "organisation")
	})
	diff(t, "a mistake", []string{"status OrganizationPolicy orgate", "status TokenIssuer a"}, c.pass())
	if got := c.condition("OrganizationPolicy", "infra", "orgate", Accepted); !strings.HasPrefix(got,
		"False Invalid: configuration: organisation: ") {
		t.Errorf("condition %s", got)
	}
	diff(t, "the last good state", before, c.get("EnvoyExtensionPolicy", "infra", "orgate"))
	diff(t, "stays", "False NotWritten: "+stays, c.condition("OrganizationPolicy", "infra", "orgate", Programmed))

	// A mistake from the start, and a Secret that is missing from the start.
	for _, wrong := range []string{
		strings.Replace(gatewayPolicy, "configuration: {", "configuration: {organisation: a, ", 1),
		gatewayPolicy + "\n  sharingKeyRef: {name: none, key: key}",
	} {
		c = newCluster(t, wrong, tokenIssuer("one", "a", "org1", location("a.example.com")))
		c.pass()
		diff(t, "from the start", "False NotWritten: nothing is written: no plugin guards the gateway",
			c.condition("OrganizationPolicy", "infra", "orgate", Programmed))
		if got := c.condition("TokenIssuer", "one", "a", Programmed); !strings.HasPrefix(got, "False PolicyNotProgrammed") {
			t.Errorf("the TokenIssuer: %s", got)
		}
	}
}

// TestGateway: without its Gateway nobody has the plugin, and Istio does not say so.
func TestGateway(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("one", "a", "org1", location("a.example.com")))
	c.delete("Gateway", "infra", "eg")
	result, err := c.r.Reconcile(t.Context(), reconcile.Request{})
	if err != nil || result.RequeueAfter != lookAgain {
		t.Errorf("%+v, %v", result, err)
	}
	diff(t, "none", "False TargetNotFound: there is no Gateway eg in this namespace, so no proxy has the plugin",
		c.condition("OrganizationPolicy", "infra", "orgate", Programmed))
	diff(t, "its TokenIssuer", "False PolicyNotProgrammed: OrganizationPolicy infra/orgate: is not programmed, and its "+
		"status says why", c.condition("TokenIssuer", "one", "a", Programmed))
	c.apply(gateway)
	c.pass()
	diff(t, "there", "True", c.condition("OrganizationPolicy", "infra", "orgate", Programmed)[:4])
	diff(t, "its TokenIssuer", "True Programmed", c.condition("TokenIssuer", "one", "a", Programmed))
}

// TestForbidden: a namespace where the controller may not write is a common
// mistake.
func TestForbidden(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("one", "a", "org1", location("a.example.com")))
	c.fails = func(write string) error {
		if strings.HasPrefix(write, "apply") {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "orgate", errors.New("no role"))
		}
		return nil
	}
	if _, err := c.r.Pass(t.Context()); !apierrors.IsForbidden(err) {
		t.Errorf("error %v", err)
	}
	if got := c.condition("OrganizationPolicy", "infra", "orgate", Programmed); !strings.HasSuffix(got,
		"no role. In namespaces beside its own the controller needs a Role for what it writes") {
		t.Errorf("condition %s", got)
	}
}

// TestEnvoyGatewaysWord: what Envoy Gateway says of the objects becomes the
// condition Programmed.
func TestEnvoyGatewaysWord(t *testing.T) {
	accepted := map[string]any{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
		"lastTransitionTime": "2026-01-01T00:00:00Z"}
	condition := func(kind, status, reason, message string) map[string]any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": message,
			"lastTransitionTime": "2026-01-01T00:00:00Z"}
	}
	tests := []struct {
		name          string
		policy, route []any
		more, want    string
	}{
		{
			"nothing yet", nil, nil, "", "False Pending: Envoy Gateway has not said yet what it makes of it. Is " +
				"there a Gateway eg in this namespace?"},
		{"all is well", []any{accepted}, []any{accepted}, "", "True Programmed: 1 TokenIssuers are used"},
		{"an older policy", []any{condition("Accepted", "False", "Conflicted", "there is another")}, []any{accepted},
			"",
			"False Conflicted: Envoy Gateway does not take EnvoyExtensionPolicy orgate: requests pass unchecked " +
				"(Conflicted): there is another"},
		{
			"a policy on a listener", []any{accepted,
				condition("Overridden", "True", "Overridden", "for these listeners: [http]")}, []any{accepted}, "",
			"False Overridden: another EnvoyExtensionPolicy takes the place of EnvoyExtensionPolicy orgate, and " +
				"there requests pass unchecked: " +
				"for these listeners: [http]"},
		{"an image that is not there", []any{condition("Accepted", "False", "Invalid", "no such image")}, []any{accepted},
			"",
			"False Invalid: Envoy Gateway does not take EnvoyExtensionPolicy orgate: it answers every request with 500 " +
				"(Invalid): no such image"},
		{"no route for keys", []any{accepted},
			[]any{condition("Accepted", "False", "NotAllowedByListeners", "no listener takes it")}, "",
			"False NotAllowedByListeners: Envoy Gateway does not take HTTPRoute orgate-keys-a-example-com: there is " +
				"no cluster to fetch keys " +
				"through, and tokens of the issuers there get 503 (NotAllowedByListeners): no listener takes it"},
		{"a policy on a route that merges", []any{accepted}, []any{accepted}, `
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: theirs, namespace: shop}
spec: {mergeType: StrategicMerge, wasm: [{name: another}]}
status: {ancestors: [{ancestorRef: {kind: Gateway, name: eg, namespace: infra, sectionName: http}}]}`,
			`False Overridden: the list "wasm" of EnvoyExtensionPolicy shop/theirs replaces the one with orgate whatever its mergeType, and there ` +
				`requests pass unchecked`},
		{"a policy on a route that merges, and has no plugins", []any{accepted}, []any{accepted}, `
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: theirs, namespace: shop}
spec: {mergeType: StrategicMerge, extProc: [{}]}
status: {ancestors: [{ancestorRef: {kind: Gateway, name: eg, namespace: infra, sectionName: http}}]}`,
			"True Programmed: 1 TokenIssuers are used"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, gatewayPolicy, tokenIssuer("one", "a", "org1", location("a.example.com")))
			if tt.more != "" {
				c.apply(tt.more)
				c.says("EnvoyExtensionPolicy", "shop", "theirs", "ancestors", []any{accepted})
			}
			c.pass()
			c.says("EnvoyExtensionPolicy", "infra", "orgate", "ancestors", tt.policy)
			c.says("HTTPRoute", "infra", "orgate-keys-a-example-com", "parents", tt.route)
			c.says("BackendTLSPolicy", "infra", "orgate-keys-a-example-com", "ancestors", []any{accepted})
			c.pass()
			diff(t, "programmed", tt.want, c.condition("OrganizationPolicy", "infra", "orgate", Programmed))
			diff(t, "again", []string(nil), c.pass())
		})
	}
}

// says has the control plane say something of an object.
func (c *cluster) says(kind, namespace, name, at string, conditions []any) {
	c.t.Helper()
	if conditions == nil {
		return
	}
	o := c.get(kind, namespace, name)
	for _, condition := range conditions {
		condition.(map[string]any)["observedGeneration"] = o.GetGeneration()
	}
	of := map[string]any{"conditions": conditions, "controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
		"ancestorRef": map[string]any{"kind": "Gateway", "name": "eg", "namespace": "infra"}}
	o.Object["status"] = map[string]any{at: []any{of}}
	if err := c.client.Status().Update(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
}

// TestLostStatus: where the schema of TokenIssuers has no place for conditions,
// Events say the same, once.
func TestLostStatus(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("elsewhere", "a", "org1", location("a.example.com")))
	c.loses = true
	diff(t, "writes", []string{"apply WasmPlugin orgate", "status OrganizationPolicy orgate", "status TokenIssuer a"},
		c.pass())
	diff(t, "again", []string(nil), c.pass())
	var got []string
	for len(c.events.Events) > 0 {
		got = append(got, <-c.events.Events)
	}
	diff(t, "events", []string{
		`Normal Programmed 0 TokenIssuers are used. Istio says nothing of its WasmPlugins, and has them in proxies of ` +
			`this namespace alone: ask the gateway with "orgate verify"`,
		`Warning NotPermitted no OrganizationPolicy takes TokenIssuers of namespace "elsewhere" (spec.namespaces)`},
		got)
}

// TestPace: one tenant's changes start the plugin anew a few times at most, and say
// nothing about the others. What closes the gateway, and what the platform wants,
// waits for nothing.
func TestPace(t *testing.T) {
	const applied = "apply WasmPlugin orgate"
	host := func(n int) string {
		return tokenIssuer("one", "a", "org1", location(fmt.Sprintf("h%d.example.com", n)))
	}
	c := newCluster(t, istioPolicy(), host(0), tokenIssuer("two", "b", "org2", location("b.example.com")))
	now := c.r.Now()
	c.r.Now, c.r.RestartsEvery = func() time.Time { return now }, 10*time.Second
	c.pass()
	written, told := 0, map[string]int{}
	for i := range 20 {
		c.apply(host(i + 1))
		for _, write := range c.pass() {
			if write == applied {
				written++
			}
			if strings.HasPrefix(write, "status") {
				told[write]++
			}
		}
		now = now.Add(time.Millisecond)
	}
	diff(t, "writes in the first 20 ms", 5, written)
	diff(t, "statuses", map[string]int{"status OrganizationPolicy orgate": 1}, told)
	waits := "False Pending: each change starts the plugin anew, and there were many: this one is written within 10s"
	diff(t, "policy", waits, c.condition("OrganizationPolicy", "infra", "orgate", Programmed))
	diff(t, "the other tenant", "True Programmed", c.condition("TokenIssuer", "two", "b", Programmed))
	if c.get("ServiceEntry", "infra", "orgate-keys-h5-example-com") == nil {
		t.Error("the server that the plugin as written fetches keys from is gone")
	}

	// What others change is changed back at once, with all that waits.
	c.change("WasmPlugin", "infra", "orgate", func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, "FAIL_OPEN", "spec", "failStrategy")
	})
	diff(t, "drift", applied, c.pass()[0])
	if c.get("ServiceEntry", "infra", "orgate-keys-h5-example-com") != nil {
		t.Error("a server is left")
	}

	// A change of the policy, too.
	c.apply(host(30))
	c.change("OrganizationPolicy", "infra", "orgate", func(o *unstructured.Unstructured) {
		o.SetGeneration(o.GetGeneration() + 1)
		_ = unstructured.SetNestedField(o.Object, "org1", "spec", "configuration", "organization")
	})
	if writes := c.pass(); !slices.Contains(writes, applied) {
		t.Errorf("a change of the policy: %q", writes)
	}

	// The rest is written when its time has come.
	c.apply(host(40))
	result, err := c.r.Reconcile(t.Context(), reconcile.Request{})
	if err != nil || result.RequeueAfter <= 9*time.Second || result.RequeueAfter > 10*time.Second {
		t.Errorf("%+v, %v", result, err)
	}
	now = now.Add(result.RequeueAfter)
	if writes := c.pass(); !slices.Contains(writes, applied) {
		t.Errorf("after that time: %q", writes)
	}
	diff(t, "policy", "True", c.condition("OrganizationPolicy", "infra", "orgate", Programmed)[:4])
	diff(t, "again", []string(nil), c.pass())
	result, err = c.r.Reconcile(t.Context(), reconcile.Request{})
	diff(t, "nothing to do", reconcile.Result{}, result)
	if err != nil {
		t.Error(err)
	}
}

// TestPending: while Envoy Gateway has not said what it makes of a change, what it
// took before stays programmed.
func TestPending(t *testing.T) {
	accepted := func() []any {
		return []any{map[string]any{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
			"lastTransitionTime": "2026-01-01T00:00:00Z"}}
	}
	c := newCluster(t, gatewayPolicy, tokenIssuer("one", "a", "org1", location("a.example.com")))
	c.pass()
	const waits = "False Pending: OrganizationPolicy infra/orgate: is not programmed, and its status says why"
	diff(t, "new", waits, c.condition("TokenIssuer", "one", "a", Programmed))
	c.says("EnvoyExtensionPolicy", "infra", "orgate", "ancestors", accepted())
	c.says("HTTPRoute", "infra", "orgate-keys-a-example-com", "parents", accepted())
	c.says("BackendTLSPolicy", "infra", "orgate-keys-a-example-com", "ancestors", accepted())
	c.pass()
	diff(t, "taken", "True Programmed", c.condition("TokenIssuer", "one", "a", Programmed))
	c.apply(tokenIssuer("two", "b", "org2", location("b.example.com")))
	for _, write := range c.pass() {
		if write == "status TokenIssuer a" {
			t.Error("another's change is said of it")
		}
	}
	diff(t, "another's change", "True Programmed", c.condition("TokenIssuer", "one", "a", Programmed))
	diff(t, "the other", waits, c.condition("TokenIssuer", "two", "b", Programmed))
	c.says("EnvoyExtensionPolicy", "infra", "orgate", "ancestors", []any{map[string]any{"type": "Accepted",
		"status": "False", "reason": "Conflicted", "message": "there is another",
		"lastTransitionTime": "2026-01-01T00:00:00Z"}})
	c.pass()
	diff(t, "lost", "False PolicyNotProgrammed: OrganizationPolicy infra/orgate: is not programmed, and its status says "+
		"why", c.condition("TokenIssuer", "one", "a", Programmed))
}

// TestFailedWrites: what fails is tried again, and until then what needs it is not
// written.
func TestFailedWrites(t *testing.T) {
	c := newCluster(t, gatewayPolicy, tokenIssuer("one", "a", "org1", location("a.example.com")))
	down := errors.New("the API server is down")
	c.fails = func(write string) error {
		if strings.HasPrefix(write, "apply Backend ") {
			return down
		}
		return nil
	}
	if _, err := c.r.Pass(t.Context()); !errors.Is(err, down) {
		t.Errorf("error %v", err)
	}
	diff(t, "plugin", (*unstructured.Unstructured)(nil), c.get("EnvoyExtensionPolicy", "infra", "orgate"))
	c.fails = nil
	c.pass()
	diff(t, "issuers", []string{"one/a"}, c.issuers())
}

// TestRefusedObject: what the API server refuses of one server keeps nobody else's
// changes away, nor the plugin from being changed back.
func TestRefusedObject(t *testing.T) {
	c := newCluster(t, gatewayPolicy, tokenIssuer("one", "a", "org1", location("a.example.com")),
		tokenIssuer("two", "b", "org2", location("b.example.com")))
	c.fails = func(write string) error {
		if write == "apply BackendTLSPolicy orgate-keys-a-example-com" {
			return apierrors.NewInvalid(schema.GroupKind{Kind: "BackendTLSPolicy"}, "orgate-keys-a-example-com", nil)
		}
		return nil
	}
	c.pass()
	diff(t, "issuers", []string{"two/b"}, c.issuers())
	const want = "False Invalid: OrganizationPolicy infra/orgate: the API server refuses what is written for its server: " +
		"BackendTLSPolicy orgate-keys-a-example-com"
	if got := c.condition("TokenIssuer", "one", "a", Accepted); !strings.HasPrefix(got, want) {
		t.Errorf("condition %s", got)
	}
	diff(t, "the other", "True Accepted", c.condition("TokenIssuer", "two", "b", Accepted))
	diff(t, "what goes with it goes", []string{"delete HTTPRoute orgate-keys-a-example-com",
		"delete Backend orgate-keys-a-example-com"}, c.pass())
	diff(t, "nothing is written again", []string(nil), c.pass())
	c.fails = nil
	result, err := c.r.Reconcile(t.Context(), reconcile.Request{})
	if err != nil || result.RequeueAfter != refusedFor {
		t.Errorf("%+v, %v", result, err)
	}
	now := c.r.Now().Add(refusedFor)
	c.r.Now = func() time.Time { return now }
	c.pass()
	diff(t, "issuers", []string{"one/a", "two/b"}, c.issuers())

	// One that is in use, and whose object is gone and can't be written again.
	c.delete("BackendTLSPolicy", "infra", "orgate-keys-b-example-com")
	c.fails = func(write string) error {
		if write == "apply BackendTLSPolicy orgate-keys-b-example-com" {
			return apierrors.NewInvalid(schema.GroupKind{Kind: "BackendTLSPolicy"}, "orgate-keys-b-example-com", nil)
		}
		return nil
	}
	c.pass()
	diff(t, "issuers", []string{"one/a"}, c.issuers())
}

// TestRefusals: however much is refused, what is in use stays, and changes of it
// are written.
func TestRefusals(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("two", "b", "org2", location("b.example.com")))
	c.pass()
	c.fails = func(write string) error {
		if strings.Contains(write, "-evil") {
			return apierrors.NewBadRequest("denied")
		}
		return nil
	}
	for i := range 10 {
		// Of one iss: each that is refused makes room for the next.
		name := fmt.Sprintf("i%d", i)
		c.apply(strings.Replace(tokenIssuer("one", name, "org1", location("evil"+name+".example.com")), "https://"+name+".",
			"https://one.", 1))
	}
	c.change("WasmPlugin", "infra", "orgate", func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, "FAIL_OPEN", "spec", "failStrategy")
	})
	if writes := c.pass(); !slices.Contains(writes, "apply WasmPlugin orgate") {
		t.Errorf("writes %q", writes)
	}
	diff(t, "the other", "True Programmed", c.condition("TokenIssuer", "two", "b", Programmed))
}

// TestWhatIsWanted: the last good form is what was wanted, whatever the API server
// says that there is.
func TestWhatIsWanted(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("one", "a", "org1", location("a.example.com")))
	c.pass()
	c.change("WasmPlugin", "infra", "orgate", func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, "https://evil.example.com/jwks", "spec", "url")
	})
	c.pass()
	for _, o := range c.r.good["p1"] {
		if o.GetResourceVersion() != "" || len(o.GetManagedFields()) > 0 {
			t.Errorf("%s is as it is read", identity(o))
		}
	}
}

// TestFailedPlugin: while the plugin's object can't be written, that is what is
// said, however often it is tried, and what was programmed is.
func TestFailedPlugin(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("one", "a", "org1", location("a.example.com")),
		tokenIssuer("two", "b", "org2", location("b.example.com")))
	c.r.RestartsEvery = 10 * time.Second
	c.pass()
	down := errors.New("the API server is down")
	c.fails = func(write string) error {
		if write == "apply WasmPlugin orgate" {
			return down
		}
		return nil
	}
	c.apply(tokenIssuer("one", "a", "org1", location("c.example.com")))
	for range 10 {
		if _, err := c.r.Pass(t.Context()); !errors.Is(err, down) {
			t.Fatalf("error %v", err)
		}
	}
	diff(t, "policy", "False WriteFailed: what was written before stays: WasmPlugin orgate: the API server is down",
		c.condition("OrganizationPolicy", "infra", "orgate", Programmed))
	diff(t, "the other tenant", "True Programmed", c.condition("TokenIssuer", "two", "b", Programmed))
	c.fails = nil
	if writes := c.pass(); !slices.Contains(writes, "apply WasmPlugin orgate") {
		t.Errorf("writes %q: failures are not starts", writes)
	}
}

// TestStaleRead: a cache that does not have the last write yet is no change.
func TestStaleRead(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("one", "a", "org1", location("a.example.com")))
	c.pass()
	before := c.get("WasmPlugin", "infra", "orgate")
	c.apply(tokenIssuer("one", "a", "org1", location("b.example.com")))
	c.pass()
	p := &pass{Reconciler: c.r, result: &Result{}}
	if err := p.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := p.policies[0]
	c.writes = nil
	out := translate.Translate(translate.Input{Policy: o.Policy, TokenIssuers: p.issuers, Live: p.good[o.UID]})
	if _, err := p.writeObject(t.Context(), o, out.Objects[len(out.Objects)-1], before); err != nil {
		t.Fatal(err)
	}
	diff(t, "writes", []string(nil), c.writes)
}

// TestGone: nothing is kept of what is gone, and a TokenIssuer that is deleted is
// out of use though a finalizer holds it.
func TestGone(t *testing.T) {
	c := newCluster(t, gatewayPolicy, tokenIssuer("one", "b", "org1", location("b.example.com")))
	held := strings.Replace(tokenIssuer("one", "a", "org1", "certificate: {secretRef: {name: signer, key: key}}"),
		"namespace: one}", "namespace: one, finalizers: [a/b]}", 1)
	c.apply(held)
	c.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: signer, namespace: one}\ndata: {key: " + signer(t) + "}")
	c.pass()
	c.delete("TokenIssuer", "one", "a")
	c.delete("TokenIssuer", "one", "b")
	if c.get("TokenIssuer", "one", "a") == nil {
		t.Fatal("no finalizer holds it")
	}
	c.pass()
	diff(t, "issuers", []string{"nobody"}, c.issuers())
	c.delete("OrganizationPolicy", "infra", "orgate")
	c.delete("EnvoyExtensionPolicy", "infra", "orgate")
	c.pass()
	diff(t, "kept", []int{0, 0, 0, 0, 0, 0, 0, 0}, []int{len(c.r.refused), len(c.r.said), len(c.r.stated),
		len(c.r.stored), len(c.r.referenced),
		len(c.r.written), len(c.r.good), len(c.r.paces)})
}

// TestLongMessages: what a tenant writes does not make a status or an Event too
// large.
func TestLongMessages(t *testing.T) {
	long := strings.Repeat("\u00fc", 20000)
	c := newCluster(t, istioPolicy(), strings.Replace(tokenIssuer("one", "a", "org1", location("a.example.com")),
		`issuer: "`, `issuer: "`+long, 1), strings.Replace(tokenIssuer("two", "b", "org1", location("a.example.com")),
		"organization: org1", "organization: "+long, 1))
	c.pass()
	for _, resource := range [][3]string{{"OrganizationPolicy", "infra", "orgate"}, {"TokenIssuer", "two", "b"}} {
		status, _, _ := unstructured.NestedMap(c.get(resource[0], resource[1], resource[2]).Object, "status")
		if n := len(marshal(status)); n > 6000 {
			t.Errorf("the status of %s is %d bytes", resource[0], n)
		}
	}
	diff(t, "again", []string(nil), c.pass())
	for len(c.events.Events) > 0 {
		kind, note, _ := strings.Cut(<-c.events.Events, " ")
		if _, note, _ = strings.Cut(note, " "); len(note) > mostNote || !utf8.ValidString(note) {
			t.Errorf("a note of %d bytes (%s): %s", len(note), kind, note)
		}
	}
}

// TestOK: a gateway that may be open is not as it should be.
func TestOK(t *testing.T) {
	for reason, want := range map[string]bool{Programmed: true, Pending: true, "Conflicted": false, Overridden: false,
		TargetNotFound: false, NotWritten: false} {
		o := &policy{Policy: &translate.Policy{}, object: &unstructured.Unstructured{}}
		o.set(Accepted, true, Accepted, "")
		o.set(ResolvedRefs, true, ResolvedRefs, "")
		o.set(Programmed, reason == Programmed, reason, "")
		r := &Result{Policies: []PolicyResult{{Conditions: o.conditions}}}
		if r.OK() != want {
			t.Errorf("%s: %v", reason, r.OK())
		}
	}
}

// TestDryRun: nothing is written, and all is shown.
func TestDryRun(t *testing.T) {
	c := newCluster(t, istioPolicy(), tokenIssuer("one", "a", "org1", location("a.example.com")))
	var shown []string
	c.r.DryRun = func(verb string, o *unstructured.Unstructured) { shown = append(shown, verb+" "+o.GetKind()) }
	diff(t, "writes", []string(nil), c.pass())
	diff(t, "shown", []string{"apply DestinationRule", "apply ServiceEntry", "apply WasmPlugin"}, shown)
}

// TestNamespaces: a controller that reads some namespaces alone does not read
// labels.
func TestNamespaces(t *testing.T) {
	c := newCluster(t, strings.Replace(istioPolicy(), "{names: [one]", `{selector: {matchLabels: {tenant: "yes"}}`, 1),
		tokenIssuer("one", "a", "org1", location("a.example.com")), `
apiVersion: v1
kind: Namespace
metadata: {name: one, labels: {tenant: "yes"}}`)
	c.pass()
	diff(t, "accepted", "True Accepted", c.condition("TokenIssuer", "one", "a", Accepted))
	c.r.Namespaces = []string{"infra", "one"}
	c.pass()
	if got := c.condition("OrganizationPolicy", "infra", "orgate", Accepted); !strings.HasPrefix(got,
		"False Invalid: namespaces are selected by labels") {
		t.Errorf("condition %s", got)
	}
}
