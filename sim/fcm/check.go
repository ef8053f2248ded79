package fcm

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checker compares a body with the schema and collects what is wrong, in the
// words of Google's front end.
type checker struct {
	wrong []violation
}

func (c *checker) add(field, format string, args ...any) {
	c.wrong = append(c.wrong, violation{field, fmt.Sprintf(format, args...)})
}

// unknownName is the complaint about a name in the object at path.
func (c *checker) unknownName(path, name, why string) {
	at := ""
	if path != "" {
		at = fmt.Sprintf(" at '%s'", path)
	}
	c.add(path, "Invalid JSON payload received. Unknown name %q%s: %s", name, at, why)
}

func (c *checker) invalidValue(path, typeName string, v *value) {
	c.add(path, "Invalid value at '%s' (%s), %s", path, typeName, v.quoted())
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// object checks v, which is an object, and renames its members to the names of
// the schema. A null is the same as an absent field.
func (c *checker) object(path string, t *messageType, v *value) {
	for i := range v.members {
		m := &v.members[i]
		f := t.fields[m.name]
		if f == nil {
			c.unknownName(path, m.name, "Cannot find field.")
			continue
		}
		m.name = f.name
		if m.value.kind != null {
			c.field(path, f, &m.value)
		}
	}
}

func (c *checker) field(parent string, f *field, v *value) {
	path := below(parent, f.name)
	switch {
	case f.kind == stringMap:
		c.entries(path, f, v)
	case f.repeated && v.kind == array:
		for i := range v.items {
			c.single(parent, fmt.Sprintf("%s[%d]", path, i), f, &v.items[i])
		}
	case v.kind == array:
		c.unknownName(parent, f.name, "Proto field is not repeating, cannot start list.")
	default:
		c.single(parent, path, f, v)
	}
}

func (c *checker) single(parent, path string, f *field, v *value) {
	if f.kind == messageField || f.kind == anyObject {
		c.structure(path, f, v)
		return
	}
	if v.kind == object {
		c.unknownName(parent, f.name, "Starting an object on a scalar field.")
		return
	}
	switch f.kind {
	case boolField:
		if v.kind != boolean {
			c.invalidValue(path, "TYPE_BOOL", v)
		}
	case intField:
		if !isInt32(v) {
			c.invalidValue(path, "TYPE_INT32", v)
		}
	case floatField:
		if _, err := strconv.ParseFloat(v.scalar, 32); err != nil || v.kind == boolean {
			c.invalidValue(path, "TYPE_FLOAT", v)
		}
	case enumField:
		if !isEnum(f, v) {
			c.invalidValue(path, f.typeName, v)
		}
	case durationField:
		c.duration(path, f, v)
	case timestampField:
		if _, err := time.Parse(time.RFC3339Nano, v.scalar); err != nil || v.kind != text {
			c.add(path, "Invalid value at '%s' (type.googleapis.com/google.protobuf.Timestamp), Field '%s', Invalid time format: %s",
				path, camelCase(f.name), v.scalar)
		}
	default:
		if v.kind != text {
			c.invalidValue(path, "TYPE_STRING", v)
		}
	}
}

func (c *checker) structure(path string, f *field, v *value) {
	switch {
	case v.kind == object && f.kind == messageField:
		c.object(path, f.message, v)
	case v.kind == object:
		// a Struct takes whatever it holds
	case f.kind == messageField:
		c.invalidValue(path, f.message.name, v)
	default:
		c.invalidValue(path, "type.googleapis.com/google.protobuf.Struct", v)
	}
}

// entries checks a map of strings to strings.
func (c *checker) entries(path string, f *field, v *value) {
	switch v.kind {
	case object:
	case array:
		c.add(path, "Invalid value at '%s' (Map), Cannot bind a list to map for field '%s'.", path, f.name)
		return
	default:
		c.invalidValue(path, f.typeName, v)
		return
	}
	for i := range v.members {
		entry := fmt.Sprintf("%s[%d].value", path, i)
		switch e := &v.members[i].value; e.kind {
		case text:
		case array, object:
			c.add(entry, "Invalid value at '%s' (TYPE_STRING), Starting an object on a scalar field", entry)
		default:
			c.invalidValue(entry, "TYPE_STRING", e)
		}
	}
}

func (c *checker) duration(path string, f *field, v *value) {
	const typeName = "type.googleapis.com/google.protobuf.Duration"
	if v.kind != text {
		c.invalidValue(path, typeName, v)
		return
	}
	if !strings.HasSuffix(v.scalar, "s") {
		c.add(path, "Invalid value at '%s' (%s), Field '%s', Illegal duration format; duration must end with 's'",
			path, typeName, camelCase(f.name))
		return
	}
	if _, err := parseDuration(v.scalar); err != nil {
		c.add(path, "Invalid value at '%s' (%s), Field '%s', Invalid duration format, %v",
			path, typeName, camelCase(f.name), err)
	}
}

// parseDuration reads a duration of protobuf's JSON mapping: seconds with up to
// nine digits of a fraction and an s.
func parseDuration(s string) (time.Duration, error) {
	whole, fraction, _ := strings.Cut(strings.TrimSuffix(s, "s"), ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || whole[0] == '+' {
		return 0, fmt.Errorf("failed to parse seconds %q", whole)
	}
	const longest = math.MaxInt64 / int64(time.Second)
	if seconds >= longest || seconds <= -longest {
		return 0, fmt.Errorf("seconds out of range: %q", whole)
	}
	nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 64)
	if err != nil || len(fraction) > 9 {
		return 0, fmt.Errorf("failed to parse nano seconds %q", fraction)
	}
	d := time.Duration(seconds) * time.Second
	if strings.HasPrefix(whole, "-") {
		return d - time.Duration(nanos), nil
	}
	return d + time.Duration(nanos), nil
}

// isInt32 takes a number or, as protobuf's JSON mapping allows, a string with one.
func isInt32(v *value) bool {
	if v.kind != number && v.kind != text {
		return false
	}
	f, err := strconv.ParseFloat(v.scalar, 64)
	return err == nil && f == math.Trunc(f) && f >= math.MinInt32 && f <= math.MaxInt32
}

// isEnum takes a name in any case, as Google's front end does, or a number.
func isEnum(f *field, v *value) bool {
	if v.kind == number {
		n, err := strconv.Atoi(v.scalar)
		return err == nil && n >= 0 && n < len(f.enum)+1
	}
	return v.kind == text && slices.Contains(f.enum, strings.ToUpper(v.scalar))
}
