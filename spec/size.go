package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// SizeUnits are the units of a size, as [ParseSize] reads them.
var SizeUnits = []string{"B", "KB", "MB", "GB", "KiB", "MiB", "GiB"}

var sizeFactors = []int64{1, 1e3, 1e6, 1e9, 1 << 10, 1 << 20, 1 << 30}

// ParseSize reads a number of bytes with its unit, such as 64KiB: a whole number from 1.
func ParseSize(text string) (int64, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	unit := slices.Index(SizeUnits, text[digits:])
	n, err := strconv.ParseInt(text[:digits], 10, 64)
	if unit < 0 || err != nil || n < 1 || n > math.MaxInt64/sizeFactors[unit] {
		return 0, fmt.Errorf("spec: size %.40q, expected a whole number from 1 and one of %s, such as 64KiB", text, strings.Join(SizeUnits, ", "))
	}
	return n * sizeFactors[unit], nil
}
