// Package spelling finds what somebody probably meant who has misspelt a name. It knows no names itself.
package spelling

// Suggest returns the candidate that word most probably meant, or the empty string if none is near: at most a third
// of its letters away, counting swapped neighbours as one.
func Suggest(word string, candidates []string) string {
	best, distance := "", len(word)
	for _, c := range candidates {
		if d := Distance(word, c); d < distance && d <= max(1, len(c)/3) {
			best, distance = c, d
		}
	}
	return best
}

// Distance is the number of letters to insert, drop, change or swap with their neighbour to turn a into b. Letter
// case counts for nothing.
func Distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if fold(a[i]) == fold(b[j]) {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && fold(a[i]) == fold(b[j-1]) && fold(a[i-1]) == fold(b[j]) {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows[0], rows[1], rows[2] = last, row, before
	}
	return rows[1][len(b)]
}

func fold(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
