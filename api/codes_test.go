package api

import (
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/diaphone-dev/diaphone"
)

// The codes that openapi.yaml promises are those that the mapping knows, each
// with a title of its own; and the examples show them as they are.
func TestCodesOfTheContract(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(diaphone.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	known := []diaphone.Code{
		diaphone.Malformed, diaphone.Unauthorized, diaphone.Forbidden, diaphone.NotFound, methodNotAllowed, diaphone.Conflict, diaphone.TooLarge,
		unsupportedMediaType, diaphone.Invalid, diaphone.Limited, diaphone.Internal, diaphone.Unavailable, diaphone.StorageFull,
	}
	var promised []diaphone.Code
	titles := map[string]bool{}
	for _, v := range doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		code := diaphone.Code(v.(string))
		promised = append(promised, code)
		status, title := kindOf(code)
		if titles[title] || (status == 500) != (code == diaphone.Internal) {
			t.Errorf("%s is not mapped: %d %q", code, status, title)
		}
		titles[title] = true
	}
	if !slices.Equal(known, promised) {
		t.Errorf("the contract has %v", promised)
	}
	for name, r := range doc.Components.Responses {
		m := r.Value.Content["application/problem+json"]
		if m == nil {
			continue // no error
		}
		example, ok := m.Example.(map[string]any)
		if !ok {
			continue // PusherError: plain text
		}
		code := diaphone.Code(example["code"].(string))
		status, title := kindOf(code)
		if example["title"] != title || example["type"] != problemBase+string(code) || int(example["status"].(float64)) != status {
			t.Errorf("the example of %s shows %v", name, example)
		}
	}
}
