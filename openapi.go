package diaphone

import _ "embed" // for openapi.yaml

//go:embed openapi.yaml
var openAPI string

// OpenAPI is the contract of the HTTP API: openapi.yaml as the gateway serves it.
func OpenAPI() []byte { return []byte(openAPI) }
