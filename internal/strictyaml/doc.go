// Package strictyaml reads the YAML files that people write for this project, stella.yaml and gateway.yaml. It keeps
// where every key and value stands, and refuses what makes a file mean something else than it seems to: keys that are
// given twice, aliases, anchors, merge keys, tags, a second document, an empty file.
//
// It knows nothing about what a file should hold, and turns no text into numbers: 1.10 stays "1.10". It reads no file
// itself, and expands nothing, so what it allocates is in proportion to the bytes that it is given. Start reading at
// [Parse].
package strictyaml
