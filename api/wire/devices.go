package wire

import (
	"fmt"

	"github.com/diaphone-dev/diaphone"
)

// NewInstallation is the body of POST /v1/apps/{app_key}/devices and PUT /v1/device:
// what an installed app says of the device that it is on.
type NewInstallation struct {
	Platform diaphone.Platform `json:"platform"`
	Tokens   []NewToken        `json:"tokens,omitempty"`
	Locale   string            `json:"locale,omitzero"`
	TimeZone string            `json:"time_zone,omitzero"`
}

// Enrolled is the answer to POST /v1/apps/{app_key}/devices. The secret is told only
// once, in a plain string because it must cross the wire: never print one.
type Enrolled struct {
	Device Device `json:"device"`
	Secret string `json:"secret"`
}

// IdentityToken is the body of PUT /v1/device/user, and of PUT
// /v1/device/channels/{channel} for a channel that asks for authorisation: a JSON Web
// Token that the app's backend has signed.
type IdentityToken struct {
	Token string `json:"token"`
}

// DeviceSecret is the answer to POST /v1/devices/{device_id}/secret: told only once, in a
// plain string because it must cross the wire. Never print one.
type DeviceSecret struct {
	Secret string `json:"secret"`
}

// Erased is the answer to DELETE /v1/users/{user_id}.
type Erased struct {
	Devices     int `json:"devices"`
	Connections int `json:"connections"`
}

// TokenState says whether messages go to a token.
type TokenState string

// The states of a token.
const (
	TokenActive TokenState = "active"
	TokenGone   TokenState = "gone" // its provider says that it is dead
)

// TokensOf gives registered tokens as words. What they have to look like is not judged;
// that the token stands in the field of its kind is.
func TokensOf(tokens []NewToken) ([]diaphone.Token, error) {
	var all []diaphone.Token
	for i, t := range tokens {
		value, err := valueOf(fmt.Sprintf("/tokens/%d", i), &t)
		if err != nil {
			return nil, err
		}
		all = append(all, diaphone.Token{Kind: t.Kind, Value: value, Environment: t.Environment, Topic: t.Topic})
	}
	return all, nil
}

func valueOf(at string, t *NewToken) (diaphone.Secret, error) {
	isSubscription := t.Kind == diaphone.TokenWebPush
	switch {
	case isSubscription && t.Subscription == nil:
		return "", diaphone.InvalidField(at+"/subscription", "required", "a token of kind %s is a subscription: what the browser's PushSubscription.toJSON() gives", t.Kind)
	case isSubscription && t.Value != "":
		return "", diaphone.InvalidField(at+"/value", "not_allowed", "a token of kind %s is a subscription and has no value", t.Kind)
	case isSubscription:
		s := t.Subscription
		return diaphone.SubscriptionToken(s.Endpoint, s.Keys.P256DH, s.Keys.Auth), nil
	case t.Subscription != nil:
		return "", diaphone.InvalidField(at+"/subscription", "not_allowed", "only a token of kind %s is a subscription; others have a value", diaphone.TokenWebPush)
	}
	return diaphone.Secret(t.Value), nil
}

// DeviceOf gives the document of a device.
func DeviceOf(d *diaphone.Device) Device {
	out := Device{
		ID: d.ID, Platform: d.Platform, UserID: d.User, Tokens: make([]Token, len(d.Tokens)),
		Channels: append([]diaphone.ChannelName{}, d.Channels...), // never null
		Locale:   d.Locale, TimeZone: d.TimeZone, Tags: d.Tags,
		CreatedAt: At(d.CreatedAt), UpdatedAt: At(d.UpdatedAt),
	}
	for i := range d.Tokens {
		out.Tokens[i] = tokenOf(&d.Tokens[i])
	}
	return out
}

func tokenOf(t *diaphone.Token) Token {
	out := Token{
		Kind: t.Kind, Environment: t.Environment, Topic: t.Topic, Fingerprint: t.Value.Fingerprint(),
		State: TokenActive, RegisteredAt: At(t.RegisteredAt),
	}
	if !t.Active() {
		out.State, out.GoneAt, out.GoneReason = TokenGone, At(t.GoneAt), t.GoneReason
	}
	if t.Kind == diaphone.TokenWebPush {
		endpoint, p256dh, auth := diaphone.SubscriptionText(t.Value)
		out.Subscription = &Subscription{Endpoint: endpoint, Keys: SubscriptionKeys{P256DH: p256dh, Auth: auth}}
		return out
	}
	out.Value = t.Value.Reveal()
	return out
}
