package couchdroptest

// Username and Password are the credentials of the account whose login succeeds. All accounts but the last of [Accounts]
// have this password.
const (
	Username = "ada@example.com"
	Password = "correct horse battery staple"
)

// Account is an account that the server knows. The password is not a secret, because only the server accepts it.
type Account struct {
	// Username is the user name, an address.
	Username string
	// Password is the right password.
	Password string
	// Response describes the response to a login with the right password.
	Response string

	outcome outcome
}

// outcome is the kind of response to a login with the right password.
type outcome int

const (
	success outcome = iota
	twoFactor
	limitedEveryOtherTime
	limited
	unavailable
	broken
	jsonOnly
	captivePortal
	moved
	silence
)

var accounts = []Account{
	{Username, Password, "200 with a fresh token", success},
	{"twofactor@example.com", Password, "401, two-factor authentication is required", twoFactor},
	{"busy@example.com", Password, "429 with Retry-After: 1 and 200, by turns, beginning with 429", limitedEveryOtherTime},
	{"limited@example.com", Password, "429 with Retry-After: 3600, always", limited},
	{"down@example.com", Password, "503 with an empty body, always", unavailable},
	{"broken@example.com", Password, "500, always", broken},
	{"json@example.com", Password, "415 to a form, even with a wrong password; 200 to JSON", jsonOnly},
	{"portal@example.com", Password, "200 with an HTML page instead of a token", captivePortal},
	{"moved@example.com", Password, "307 to /elsewhere, where nothing should ever arrive", moved},
	{"slow@example.com", Password, "no response; the connection stays open", silence},
	{"жук@example.com", `пароль & 100% + "q"\ é`, "200 with a fresh token: characters that an encoding can get wrong", success},
}

// Accounts returns all accounts, one for each way in which a login can end. A login with any other user name or with a
// wrong password gets 403.
func Accounts() []Account { return append([]Account(nil), accounts...) }

func findAccount(username string) (Account, bool) {
	for _, account := range accounts {
		if account.Username == username {
			return account, true
		}
	}
	return Account{}, false
}
