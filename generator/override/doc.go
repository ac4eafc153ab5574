// Package override reads stella.yaml, which refines a service's endpoints when code is generated: what the directives
// say, or leave to a default, becomes tighter there, and the manifest that is reviewed has the result.
//
// It knows the file alone. Which endpoints there are, and what their code says, is package scan's business, which applies
// the file. It reads no file itself. Start reading at [Parse] for what comes out, and at [Keys] for what may stand there.
package override
