package artifacts

import (
	"bytes"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/html"
)

// attribute is an attribute of an element.
func attribute(n *html.Node, name string) (value string, has bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

var _ = Describe("the HTML reference", func() {
	for name := range manifests {
		It("of "+name+" is well-formed, leads to what there is, and can be used without a picture or a mouse", func() {
			document, err := html.Parse(bytes.NewReader(export("html", manifest(name))))
			Expect(err).NotTo(HaveOccurred())
			ids, labelled, count := map[string]int{}, map[string]bool{}, map[string]int{}
			var links, controls, refs []string
			level := 0
			for n := range document.Descendants() {
				if n.Type != html.ElementNode {
					continue
				}
				count[n.Data]++
				if id, has := attribute(n, "id"); has {
					ids[id]++
				}
				for _, a := range n.Attr {
					Expect(a.Key).NotTo(HavePrefix("on"), "a script in an attribute")
					Expect(a.Key).NotTo(Equal("src"), "the page fetches %s", a.Val)
					if a.Key == "aria-labelledby" || a.Key == "aria-describedby" {
						refs = append(refs, a.Val)
					}
				}
				switch n.Data {
				case "a":
					href, _ := attribute(n, "href")
					links = append(links, href)
				case "input":
					id, _ := attribute(n, "id")
					controls = append(controls, id)
				case "label":
					of, _ := attribute(n, "for")
					labelled[of] = true
				case "h1", "h2", "h3", "h4":
					next := int(n.Data[1] - '0')
					Expect(next).To(BeNumerically("<=", level+1), "a heading skips a level")
					level = next
				case "th":
					Expect(n.Attr).To(ContainElement(HaveField("Key", "scope")))
				}
			}
			for id, n := range ids {
				Expect(n).To(Equal(1), "the id %s is there more than once", id)
			}
			for _, ref := range refs {
				Expect(ids).To(HaveKey(ref))
			}
			for _, link := range links {
				Expect(link).To(HavePrefix("#"))
				Expect(ids).To(HaveKey(strings.TrimPrefix(link, "#")))
			}
			for _, id := range controls {
				Expect(labelled).To(HaveKey(id))
			}
			Expect(count).To(And(HaveKeyWithValue("h1", 1), HaveKeyWithValue("main", 1), HaveKeyWithValue("nav", 1), HaveKeyWithValue("header", 1)))
			root := document.LastChild
			lang, _ := attribute(root, "lang")
			Expect(lang).To(Equal("en"))
		})
	}
})
