package wire_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// A struct and its schema have the same members, and what the struct always
// writes is what the schema requires.
func TestStructsAreSchemas(t *testing.T) {
	j := apitest.NewJudge(t)
	for schema, v := range map[string]any{
		"NewDevice": wire.NewDevice{}, "NewToken": wire.NewToken{}, "Device": wire.Device{}, "NewInstallation": wire.NewInstallation{}, "Enrolled": wire.Enrolled{}, "IdentityToken": wire.IdentityToken{}, "DeviceSecret": wire.DeviceSecret{}, "Erased": wire.Erased{}, "Token": wire.Token{}, "Subscription": wire.Subscription{},
		"NewMessage": wire.NewMessage{}, "Confirm": wire.Confirm{}, "Audience": wire.Audience{}, "Event": wire.Event{},
		"Notification": diaphone.Notification{}, "APNsOverride": diaphone.APNsOverride{},
		"Published": wire.Published{}, "Counts": wire.Counts{}, "Message": wire.Message{},
		"Delivery": wire.Delivery{}, "Attempt": wire.Attempt{}, "Problem": wire.Problem{}, "FieldError": wire.FieldError{},
		"DevicePage": wire.Page[wire.Device]{}, "DeliveryPage": wire.Page[wire.Delivery]{},
		"OccupiedChannel": wire.OccupiedChannel{}, "OccupiedChannelPage": wire.Page[wire.OccupiedChannel]{}, "Channel": wire.Channel{},
		"CachedEvent": wire.CachedEvent{}, "ChannelHistory": wire.ChannelHistory{}, "Past": wire.Past{}, "PastEvent": wire.PastEvent{},
		"Member": wire.Member{}, "MemberPage": wire.Page[wire.Member]{}, "User": wire.User{}, "Disconnected": wire.Disconnected{},
		"NewBatch": wire.NewBatch{}, "BatchMessage": wire.BatchMessage{}, "Batch": wire.Batch{}, "BatchResult": wire.BatchResult{},
	} {
		var members, always []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if f.Anonymous { // its members are seen as the struct's own
				continue
			}
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			members = append(members, name)
			if options == "" {
				always = append(always, name)
			}
		}
		s := j.Doc.Components.Schemas[schema].Value
		var properties []string
		for name := range s.Properties {
			properties = append(properties, name)
		}
		required := slices.Clone(s.Required)
		for _, l := range [][]string{members, always, properties, required} {
			slices.Sort(l)
		}
		if !slices.Equal(members, properties) {
			t.Errorf("%s has %v in Go and %v in openapi.yaml", schema, members, properties)
		}
		if !slices.Equal(always, required) {
			t.Errorf("%s always has %v in Go and %v in openapi.yaml", schema, always, required)
		}
	}
}

func TestTime(t *testing.T) {
	vienna := time.FixedZone("", 7200)
	text, err := json.Marshal(wire.At(time.Date(2026, 9, 1, 10, 30, 0, 123456789, vienna)))
	if err != nil || string(text) != `"2026-09-01T08:30:00.123Z"` {
		t.Errorf("%s %v", text, err)
	}
	var back wire.Time
	if err := json.Unmarshal(text, &back); err != nil || !back.Equal(time.Date(2026, 9, 1, 8, 30, 0, 123e6, time.UTC)) {
		t.Errorf("%v %v", back, err)
	}
}
