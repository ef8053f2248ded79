package diaphone

// Reasons of ours for what became of a delivery, or of its last step. Where a provider
// has spoken, its own word is the reason instead. Each has a sentence that says what it
// means and what to do (gateway.MeaningOf), and a test asks for it: add a reason here
// and nowhere else.
const (
	ReasonExpired          = "expired"
	ReasonTakenLive        = string(TakenLive)
	ReasonTakenElsewhere   = string(TakenElsewhere)
	ReasonAwaiting         = "awaiting_confirmation"
	ReasonCancelled        = "cancelled_by_publisher"
	ReasonLeftAudience     = "left_audience"
	ReasonDeviceDeleted    = "device_deleted"
	ReasonNoToken          = "no_token"
	ReasonTokenGone        = "token_gone"
	ReasonNoVoIPToken      = "no_voip_token"
	ReasonNoCredential     = "no_credential"
	ReasonNoApp            = "no_app"
	ReasonRetriesExhausted = "retries_exhausted"
	ReasonUnknownAnswer    = "unknown_answer"
	ReasonStoreUnavailable = "store_unavailable"
	ReasonDeviceThrottled  = "device_throttled"
)
