package monitoring

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

// burn is how fast an error budget of 30 days is spent, seen over two windows: the long one says that it matters, the
// short one that it goes on.
type burn struct {
	Severity    string
	Long, Short string
	Factor      string // how much faster than the budget allows
	Spent       string // share of the budget that is gone after the long window
}

// burns are those of the Google SRE workbook: spent share of the budget times 30 days, divided by the long window.
var burns = []burn{
	{"page", "1h", "5m", "14.4", "2 %"},
	{"page", "6h", "30m", "6", "5 %"},
	{"ticket", "1d", "2h", "3", "10 %"},
	{"ticket", "3d", "6h", "1", "10 %"},
}

// windows are those of all burns, the shortest first.
var windows = []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}

// objective is the share of an endpoint's requests that has to be answered well.
type objective struct {
	*spec.Endpoint

	Share *big.Rat
}

// objectives are those that the manifest names, in its order.
func objectives(m *spec.Manifest) ([]objective, error) {
	var list []objective
	for i := range m.Endpoints {
		e := &m.Endpoints[i]
		if e.SLO == "" {
			continue
		}
		percent, ok := new(big.Rat).SetString(e.SLO)
		if !ok || percent.Sign() < 0 || percent.Cmp(big.NewRat(100, 1)) > 0 {
			return nil, fmt.Errorf("monitoring: slo of %s %s is %.40q, expected a percentage from 0 to 100", e.Method, e.Path, e.SLO)
		}
		list = append(list, objective{e, percent.Quo(percent, big.NewRat(100, 1))})
	}
	return list, nil
}

// Ratio is the objective as a number of PromQL.
func (o objective) Ratio() string {
	digits, _ := o.Share.FloatPrec() // exact: a decimal, divided by 100
	return o.Share.FloatString(digits)
}

// reaches reports whether a share of errors spends the budget as fast as b says.
func (o objective) reaches(b burn, errors *big.Rat) bool {
	limit, _ := new(big.Rat).SetString(b.Factor)
	limit.Mul(limit, new(big.Rat).Sub(big.NewRat(1, 1), o.Share))
	return errors.Cmp(limit) > 0
}

// Edges are how the bucket of the latency histogram that ends at Within is labelled, in seconds: as older Prometheus has
// it, and as newer ones do, which write whole numbers with a decimal point. None: any time is good.
func (o objective) Edges() []string {
	if o.WithinMS == 0 {
		return nil
	}
	edge := strconv.FormatFloat((time.Duration(o.WithinMS) * time.Millisecond).Seconds(), 'f', -1, 64)
	if strings.Contains(edge, ".") {
		return []string{edge}
	}
	return []string{edge, edge + ".0"}
}

// ownEdges are those that endpoints have beside the gateway's own, whether there is an objective or not.
func ownEdges(m *spec.Manifest) []string {
	var edges []string
	for i := range m.Endpoints {
		edges = append(edges, objective{Endpoint: &m.Endpoints[i]}.Edges()...)
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}
