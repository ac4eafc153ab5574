package strictyaml

// Place is a part of one line.
type Place struct {
	Offset int // bytes before it
	Line   int // from 1
	Column int // in bytes, from 1
	Width  int // in bytes, at least 1 unless the line ends there
}

// Kind is what a value is.
type Kind int

// The kinds.
const (
	Null    Kind = iota + 1 // null, ~, or nothing
	Text                    // any other scalar, quoted or plain
	List                    // a sequence
	Mapping                 // keys and their values
)

func (k Kind) String() string {
	return [...]string{"", "empty", "text", "a list", "a mapping"}[k]
}

// Node is one value of a document.
type Node struct {
	Place

	Kind    Kind
	Text    string   // of a Text, without its quotes; of a Null as it is written
	Quoted  bool     // the text stands in quotes, or is a block: it is no number
	Items   []*Node  // of a List
	Members []Member // of a Mapping, in the order in which they stand; each key once
}

// Member is one key of a mapping and its value.
type Member struct {
	Key   *Node // a Text or Null
	Value *Node
}

// Fault is one reason why a document is refused.
type Fault struct {
	Place

	Message string
	Hint    string // what to do about it; may be empty
	First   *Place // of what is given twice: where it stands first
}
