package apk

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"orgate/internal/yamlnode"
)

const (
	kindTokenIssuer = "TokenIssuer"
	kindSecret      = "Secret"
	kindConfigMap   = "ConfigMap"
	kindValues      = "Helm values"
	kindKeyManager  = "Key Manager"

	group = "dp.wso2.com/"

	productAPK        = "APK"
	productAPIManager = "API Manager"
)

// resource is a TokenIssuer, or the idp section of the chart's values.
type resource struct {
	kind, namespace, name string
	node                  node
	// Of a chart's values: the part of the platform, and that of the provider
	// that the chart deploys itself.
	platform, own node
}

// product is the one that the resource configures.
func (r resource) product() string {
	if r.kind == kindKeyManager {
		return productAPIManager
	}
	return productAPK
}

// String names the resource: "TokenIssuer apk/idp".
func (r resource) String() string {
	switch {
	case r.kind == kindValues || r.name == "":
		return r.kind
	case r.kind == kindKeyManager:
		return r.kind + " " + r.name
	}
	return r.kind + " " + r.namespace + "/" + r.name
}

// field returns a member of the spec, or of the section.
func (r resource) field(name string) node {
	if r.kind == kindTokenIssuer {
		return r.node.At("spec").At(name)
	}
	return r.node.At(name)
}

// sort puts a document where it belongs. Lists are taken apart: those of kubectl,
// of API Manager, and plain ones.
func (im *importer) sort(n node) {
	kind, version := n.At("kind").Text(), n.At("apiVersion").Text()
	list := slices.Concat(n.Elements(), n.At("list").Elements())
	if strings.HasSuffix(kind, "List") {
		list = n.At("items").Elements()
	}
	switch {
	case len(list) > 0:
		for _, item := range list {
			im.sort(item)
		}
		return
	case kind == "" && version == "" && isKeyManager(n):
		im.sortKeyManager(n)
		return
	case kind == "" && version == "":
		im.sortValues(n)
		return
	}
	r := resource{kind: kind, namespace: n.At("metadata").At("namespace").Text(),
		name: n.At("metadata").At("name").Text(), node: n}
	if r.namespace == "" {
		r.namespace = im.options.Namespace
	}
	switch {
	case kind == kindTokenIssuer && strings.HasPrefix(version, group):
		if r.name == "" {
			im.problem(r, n.At("metadata").At("name"), "is missing")
		}
		if version != group+"v1alpha1" && version != group+"v1alpha2" {
			im.note(r, n.At("apiVersion"), "%s is read as v1alpha2: of other fields nothing is known", version)
		}
		im.resources = append(im.resources, r)
	case kind == kindTokenIssuer:
		im.problem(r, n.At("apiVersion"), "must be %sv1alpha1 or %sv1alpha2, got %q", group, group, version)
	case (kind == kindSecret || kind == kindConfigMap) && version == "v1":
		if other, ok := im.stored[r.String()]; ok {
			im.problem(r, n.At("metadata").At("name"),
				"is there twice (see %s): in a cluster the one that comes last takes the other's place",
				where(other.At("kind"), n.File))
			return
		}
		im.stored[r.String()] = n
	default:
		im.note(r, n.At("kind"), "skipped: nothing in it is for the plugin")
	}
}

// node is a value of a document, and where it is.
type node = yamlnode.Node

// where says where a node is, seen from a file.
func where(n node, from string) string {
	line := "line " + itoa(n.Line)
	if n.File == from {
		return line
	}
	return n.File + ", " + line
}

// checkTwice refuses TokenIssuers with one name in one namespace.
func (im *importer) checkTwice() {
	first := map[string]resource{}
	for _, r := range im.resources {
		if r.kind != kindTokenIssuer {
			continue
		}
		other, ok := first[r.String()]
		if !ok {
			first[r.String()] = r
			continue
		}
		im.problem(r, r.node.At("metadata").At("name"),
			"is there twice (see %s): in a cluster the one that comes last takes the other's place,"+
				" and the tokens of organization %q are refused. Give each resource a name of its own",
			where(other.node.At("metadata").At("name"), r.node.File), other.field("organization").Text())
	}
}

// reader reads the fields of one resource.
type reader struct {
	im *importer
	r  resource
}

var placeholder = regexp.MustCompile(`<[^<>\s][^<>]*>`)

// str reads a string. One that is required must not be absent or empty.
func (rd reader) str(n node, required bool) string {
	text, ok := n.Value.(string)
	switch {
	case n.Absent() && required:
		rd.im.problem(rd.r, n, "is missing")
	case n.Absent():
	case !ok:
		rd.im.problem(rd.r, n, "must be a string, got %s", n.Kind())
	case text == "" && required:
		rd.im.problem(rd.r, n, "is empty")
	case placeholder.MatchString(text):
		rd.im.problem(rd.r, n, "holds the placeholder %s: fill it in", placeholder.FindString(text))
		return ""
	}
	return text
}

// object reports whether a node is an object with members; anything else but
// null is a problem.
func (rd reader) object(n node) bool {
	if _, ok := n.Value.(map[string]node); !ok && !n.Absent() {
		rd.im.problem(rd.r, n, "must be an object, got %s", n.Kind())
		return false
	}
	return !n.Absent()
}

// list returns the elements of a list; anything else but null is a problem.
func (rd reader) list(n node) []node {
	if _, ok := n.Value.([]node); !ok && !n.Absent() {
		rd.im.problem(rd.r, n, "must be a list, got %s", n.Kind())
	}
	return n.Elements()
}

// others notes the members of an object that are none of the known ones.
func (rd reader) others(n node, why map[string]string, known ...string) {
	for _, name := range n.Members() {
		if strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
			continue
		}
		reason, ok := why[name]
		if !ok {
			reason = "nothing is known of this field"
		}
		rd.im.dropped(rd.r, n.At(name), reason)
	}
}

// refer returns what a reference to a Secret or a ConfigMap leads to. n is the
// reference.
func (rd reader) refer(n node, kind, name, key string) string {
	if name == "" || key == "" {
		return ""
	}
	target := resource{kind: kind, namespace: rd.r.namespace, name: name}
	stored, ok := rd.im.stored[target.String()]
	if !ok {
		rd.im.problem(rd.r, n,
			"refers to %s, which is in none of the files: add what \"kubectl get %s %s -n %s -o yaml\" prints",
			target, strings.ToLower(kind), name, rd.r.namespace)
		return ""
	}
	text, problem := storedText(stored, kind, key)
	if problem != "" {
		rd.im.problem(rd.r, n, "refers to %s, key %q: %s (%s)", target, key, problem, where(stored.At("kind"), n.File))
	}
	return text
}

// storedText returns the value of a key. The problem says what is wrong, and
// nothing of the value.
func storedText(stored node, kind, key string) (text, problem string) {
	encoded := stored.At("binaryData").At(key)
	plain := stored.At("data").At(key)
	if kind == kindSecret {
		encoded, plain = stored.At("data").At(key), stored.At("stringData").At(key)
	}
	switch {
	case plain.Text() != "":
		return plain.Text(), ""
	case encoded.Text() != "":
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded.Text()), ""))
		if err != nil {
			return "", "not base64"
		}
		return string(decoded), ""
	}
	return "", "there is no such key, or it is empty"
}
