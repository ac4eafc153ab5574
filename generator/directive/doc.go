// Package directive is the grammar of //stella: comments: which directives there are, which keys they take, and how
// their arguments are written. One registry feeds all of it.
//
// It looks at single comments only. Where a comment stands, and what the declaration under it is, is package scan's
// business. It never reads files. Start reading at [Registry] for what there is, and at [Parse] for how it is read.
package directive
