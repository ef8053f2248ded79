package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/identity"
)

// RefusalOf gives the word by which a refused identity is counted; empty when the error
// is none.
func RefusalOf(err error) string {
	var refusal Refusal
	var reason identity.Reason
	switch {
	case errors.As(err, &refusal):
		return string(refusal)
	case errors.As(err, &reason):
		return string(reason)
	}
	return ""
}

// Refusals are all words that RefusalOf knows.
func Refusals() []string {
	all := []string{string(RefusedForm), string(RefusedSecret), string(RefusedOlder), string(RefusedUser), string(RefusedChannel)}
	for _, r := range identity.Reasons() {
		all = append(all, string(r))
	}
	return all
}

// outdated refuses a token that something newer has overtaken.
func outdated() error {
	return &diaphone.Error{
		Code:   diaphone.Conflict,
		Detail: "the token is older than what the device has heard: a newer token, a logout, or its backend",
		Hint:   "fetch a new token from your backend; if new ones are refused too, compare its clock with the gateway's",
		Err:    RefusedOlder,
	}
}

func identityRefused(why Refusal, detail string) error {
	return &diaphone.Error{
		Code: diaphone.Forbidden, Detail: detail, Err: why,
		Fields: []diaphone.FieldError{{Pointer: "/token", Code: string(why), Detail: detail}},
	}
}

// verify reads an identity token for the installation. None at all is no forgery.
func verify(i *Installation, token string) (identity.Claims, error) {
	if token == "" {
		return identity.Claims{}, diaphone.InvalidField("/token", "required", "a token that the app's backend has signed belongs here")
	}
	return identity.Verify(i.App, i.Device.ID, token, time.Now())
}

// BindUser says whose the installation is, by the word of the app's backend. Forbidden:
// the token does not hold. Conflict: something newer has overtaken it.
func (g *Gateway) BindUser(ctx context.Context, i *Installation, token string) (diaphone.Device, error) {
	c, err := verify(i, token)
	if err != nil {
		return diaphone.Device{}, err
	}
	return g.changeOwn(ctx, i, func(had diaphone.Device, _ time.Time) (diaphone.Device, error) { return bound(had, &c) })
}

// Logout unbinds the user at once; nobody being bound is fine, and ends the tokens that
// are out all the same.
func (g *Gateway) Logout(ctx context.Context, i *Installation) error {
	_, err := g.changeOwn(ctx, i, func(had diaphone.Device, now time.Time) (diaphone.Device, error) { return loggedOut(had, now), nil })
	return err
}

// Listen lets the installation receive the notifications of a channel. A public one is
// everybody's; any other wants a token of the bound user that opens it.
func (g *Gateway) Listen(ctx context.Context, i *Installation, channel diaphone.ChannelName, token string) error {
	if err := channel.Validate(); err != nil {
		return err
	}
	var c identity.Claims
	public := channel.Kind() == diaphone.Public
	if !public {
		var err error
		if c, err = verify(i, token); err != nil {
			return err
		}
	}
	_, err := g.changeOwn(ctx, i, func(had diaphone.Device, _ time.Time) (diaphone.Device, error) {
		if !public {
			if err := authorised(&had, &c, channel); err != nil {
				return had, err
			}
		}
		return listening(had, channel)
	})
	return err
}

// Unlisten ends that; not being there is fine.
func (g *Gateway) Unlisten(ctx context.Context, i *Installation, channel diaphone.ChannelName) error {
	if err := channel.Validate(); err != nil {
		return err
	}
	_, err := g.changeOwn(ctx, i, func(had diaphone.Device, _ time.Time) (diaphone.Device, error) {
		return notListening(had, channel), nil
	})
	return err
}

// NewSecret makes a secret for a device that its backend has named, and ends the one
// before. NotFound: no such device.
func (g *Gateway) NewSecret(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID) (diaphone.Secret, error) {
	secret := diaphone.NewDeviceSecret(app, id)
	hash, now := diaphone.HashToken(secret.Reveal()), time.Now()
	err := g.changeKnown(ctx, app, id, func(d diaphone.Device) (diaphone.Device, error) { return withSecret(d, hash, now), nil })
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Erased is what erasing a user has ended.
type Erased struct {
	Devices     int
	Connections int
}

// eraseBite is how many devices one transaction deletes: others wait for it.
const eraseBite = 200

// EraseUser deletes the user's devices and ends the connections that are signed in as
// the user. What was sent to them is told until its retention is over. When it fails
// half way, asking again goes on.
func (g *Gateway) EraseUser(ctx context.Context, app diaphone.AppID, user diaphone.UserID) (Erased, error) {
	var e Erased
	for more := true; more; {
		var n int
		var err error
		if n, more, err = g.parts.Devices.EraseUser(ctx, app, user, eraseBite); err != nil {
			return e, err
		}
		e.Devices += n
	}
	e.Connections = g.Disconnect(app, user)
	return e, nil
}
