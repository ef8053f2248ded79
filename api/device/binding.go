package device

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// bindUser takes the backend's word for whose the device is.
func (d *Door) bindUser(c *call) error {
	token, err := identityToken(c)
	if err != nil {
		return err
	}
	stored, err := d.gateway.BindUser(c.ctx(), c.installation, token)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, wire.DeviceOf(&stored))
}

func (d *Door) logout(c *call) error {
	if err := d.gateway.Logout(c.ctx(), c.installation); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// listen needs no body for a public channel.
func (d *Door) listen(c *call) error {
	channel, err := strict.Channel(c)
	if err != nil {
		return err
	}
	token := ""
	if strict.HasBody(c.Request()) {
		if token, err = identityToken(c); err != nil {
			return err
		}
	}
	if err := d.gateway.Listen(c.ctx(), c.installation, channel, token); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (d *Door) unlisten(c *call) error {
	channel, err := strict.Channel(c)
	if err != nil {
		return err
	}
	if err := d.gateway.Unlisten(c.ctx(), c.installation, channel); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func identityToken(c echo.Context) (string, error) {
	body, err := strict.Body(c, MaxBody)
	if err != nil {
		return "", err
	}
	in, err := strict.Decode[wire.IdentityToken](body)
	return in.Token, err
}
