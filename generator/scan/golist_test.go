package scan

import (
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = DescribeTable("the go command's environment keeps what GODEBUG says", func(env []string, want string) {
	Expect(withoutIndex(env)).To(Equal(append(slices.Clone(env), want)))
},
	Entry("if nothing is said", []string{"A=1"}, "GODEBUG=goindex=0"),
	Entry("if it is empty", []string{"GODEBUG="}, "GODEBUG=goindex=0"),
	Entry("if something is said, the last time", []string{"GODEBUG=a=1", "GODEBUG=b=2,c=3"}, "GODEBUG=b=2,c=3,goindex=0"),
)
