package lvmcli

import (
	"fmt"
	"strconv"
	"strings"
)

// namePrefix begins every name of a row (--nameprefixes).
const namePrefix = "LVM2_"

// row is one line of name='value' pairs. The first column that is lacking or malformed leaves err set.
type row struct {
	values map[string]string
	err    error
}

func parseRow(line string) (*row, error) {
	r := &row{values: map[string]string{}}
	for rest := line; rest != ""; {
		name, after, ok := strings.Cut(rest, "='")
		if !ok || !strings.HasPrefix(name, namePrefix) {
			return nil, fmt.Errorf("report line %s: no name at %q", line, rest)
		}
		value, after, ok := strings.Cut(after, "'")
		if !ok {
			return nil, fmt.Errorf("report line %s: value of %s does not end", line, name)
		}
		r.values[strings.ToLower(strings.TrimPrefix(name, namePrefix))] = value
		rest = strings.TrimLeft(after, " ")
	}
	return r, nil
}

func (r *row) has(column string) bool {
	_, ok := r.values[column]
	return ok
}

func (r *row) text(column string) string {
	value, ok := r.values[column]
	if !ok && r.err == nil {
		r.err = fmt.Errorf("no %s", column)
	}
	return value
}

// list reads values that are joined by commas; none is nil.
func (r *row) list(column string) []string {
	text := r.text(column)
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func (r *row) fail(column string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", column, err)
	}
}

func (r *row) number(column string) int64 {
	value, err := strconv.ParseInt(r.text(column), 10, 64)
	if err != nil {
		r.fail(column, err)
	}
	return value
}
