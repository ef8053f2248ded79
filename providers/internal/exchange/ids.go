package exchange

import (
	"fmt"
	"strings"

	"github.com/diaphone-dev/diaphone"
)

// The gateway's own keys in what an app receives: with them it drops duplicates
// and finds the message in its history.
const (
	KeyMessage  = "_mid"
	KeyDelivery = "_nid"
)

// DeliveryIDSize is the length of every delivery's id, a UUID.
const DeliveryIDSize = 36

const messageIDSize = len("msg_") + 26

// MessageID gives the message's id or, while it has none, a text of the same
// length, so that a rendering's size is exact.
func MessageID(id diaphone.MessageID) string {
	if id == "" {
		return strings.Repeat("0", messageIDSize)
	}
	return string(id)
}

// SampleDelivery stands for a delivery's id in a rendering.
func SampleDelivery() string { return strings.Repeat("0", DeliveryIDSize) }

// Fits refuses a payload that is larger than its provider takes.
func Fits(what string, size, limit int) error {
	if size <= limit {
		return nil
	}
	detail := fmt.Sprintf("the %s has %d bytes, the limit is %d", what, size, limit)
	return &diaphone.Error{Code: diaphone.TooLarge, Detail: detail,
		Fields: []diaphone.FieldError{{Pointer: "/notification", Code: "too_large", Detail: detail}}}
}
