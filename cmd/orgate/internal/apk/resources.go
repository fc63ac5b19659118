package apk

import (
	"encoding/base64"
	"regexp"
	"strings"
)

const (
	kindTokenIssuer = "TokenIssuer"
	kindSecret      = "Secret"
	kindConfigMap   = "ConfigMap"
	kindValues      = "Helm values"

	group = "dp.wso2.com/"
)

// resource is a TokenIssuer, or the idp section of the chart's values.
type resource struct {
	kind, namespace, name string
	node                  node
}

// String names the resource: "TokenIssuer apk/idp".
func (r resource) String() string {
	if r.kind == kindValues || r.name == "" {
		return r.kind
	}
	return r.kind + " " + r.namespace + "/" + r.name
}

// field returns a member of the spec, or of the section.
func (r resource) field(name string) node {
	if r.kind == kindValues {
		return r.node.at(name)
	}
	return r.node.at("spec").at(name)
}

// sort puts a document where it belongs. Lists are taken apart.
func (im *importer) sort(n node) {
	kind, version := n.at("kind").text(), n.at("apiVersion").text()
	if kind == "" && version == "" {
		im.sortValues(n)
		return
	}
	if strings.HasSuffix(kind, "List") && n.at("items").value != nil {
		for _, item := range n.at("items").elements() {
			im.sort(item)
		}
		return
	}
	r := resource{kind: kind, namespace: n.at("metadata").at("namespace").text(),
		name: n.at("metadata").at("name").text(), node: n}
	if r.namespace == "" {
		r.namespace = im.options.Namespace
	}
	switch {
	case kind == kindTokenIssuer && (version == group+"v1alpha1" || version == group+"v1alpha2"):
		if r.name == "" {
			im.problem(r, n.at("metadata").at("name"), "is missing")
		}
		im.resources = append(im.resources, r)
	case kind == kindTokenIssuer:
		im.problem(r, n.at("apiVersion"), "must be %sv1alpha1 or %sv1alpha2, got %q", group, group, version)
	case (kind == kindSecret || kind == kindConfigMap) && version == "v1":
		if other, ok := im.stored[r.String()]; ok {
			im.problem(r, n.at("metadata").at("name"),
				"is there twice (see %s): in a cluster the one that comes last takes the other's place",
				other.at("kind").where(n.file))
			return
		}
		im.stored[r.String()] = n
	default:
		im.note(r, n.at("kind"), "skipped: nothing in it is for the plugin")
	}
}

// where says where a node is, seen from a file.
func (n node) where(from string) string {
	line := "line " + itoa(n.line)
	if n.file == from {
		return line
	}
	return n.file + ", " + line
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
		im.problem(r, r.node.at("metadata").at("name"),
			"is there twice (see %s): in a cluster the one that comes last takes the other's place,"+
				" and the tokens of organization %q are refused. Give each resource a name of its own",
			other.node.at("metadata").at("name").where(r.node.file), other.field("organization").text())
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
	text, ok := n.value.(string)
	switch {
	case n.absent() && required:
		rd.im.problem(rd.r, n, "is missing")
	case n.absent():
	case !ok:
		rd.im.problem(rd.r, n, "must be a string, got %s", n.kind())
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
	if _, ok := n.value.(map[string]node); !ok && !n.absent() {
		rd.im.problem(rd.r, n, "must be an object, got %s", n.kind())
		return false
	}
	return !n.absent()
}

// list returns the elements of a list; anything else but null is a problem.
func (rd reader) list(n node) []node {
	if _, ok := n.value.([]node); !ok && !n.absent() {
		rd.im.problem(rd.r, n, "must be a list, got %s", n.kind())
	}
	return n.elements()
}

// others notes the members of an object that are none of the known ones.
func (rd reader) others(n node, why map[string]string, known ...string) {
	for _, name := range n.members() {
		if strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
			continue
		}
		reason, ok := why[name]
		if !ok {
			reason = "nothing is known of this field"
		}
		rd.im.dropped(rd.r, n.at(name), reason)
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
		rd.im.problem(rd.r, n, "refers to %s, key %q: %s (%s)", target, key, problem, stored.at("kind").where(n.file))
	}
	return text
}

// storedText returns the value of a key. The problem says what is wrong, and
// nothing of the value.
func storedText(stored node, kind, key string) (text, problem string) {
	encoded := stored.at("binaryData").at(key)
	plain := stored.at("data").at(key)
	if kind == kindSecret {
		encoded, plain = stored.at("data").at(key), stored.at("stringData").at(key)
	}
	switch {
	case plain.text() != "":
		return plain.text(), ""
	case encoded.text() != "":
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded.text()), ""))
		if err != nil {
			return "", "not base64"
		}
		return string(decoded), ""
	}
	return "", "there is no such key, or it is empty"
}
