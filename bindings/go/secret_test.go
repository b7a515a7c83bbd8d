//go:build cgo

package couchdrop

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

const secretText = "hunter2 Zhuk-7431!"

// config holds secrets in every kind of field that a caller may have.
type config struct {
	Exported   Secret
	unexported Secret
	Pointer    *Secret
	Token      *Token
	token      *Token
	copied     Token
	Login      Credentials
	login      *Credentials
	List       []Secret
	Map        map[string]interface{}
	any        interface{}
}

// holders returns a value for each way in which a program can hold a secret.
func holders() map[string]interface{} {
	secret, token := NewSecret(secretText), &Token{masked{hide([]byte(secretText))}}
	login := Credentials{Username: "ada", Password: secret}
	c := config{
		Exported: secret, unexported: secret, Pointer: &secret, Token: token, token: token, copied: *token, Login: login,
		login: &login, List: []Secret{secret}, Map: map[string]interface{}{"secret": secret, "token": token}, any: secret,
	}
	return map[string]interface{}{
		"Secret": secret, "*Secret": &secret, "Token": *token, "*Token": token, "Credentials": login, "*Credentials": &login,
		"config": c, "*config": &c, "[]Secret": c.List, "map": c.Map, "[]*Token": []*Token{token},
		"map keys": map[Secret]int{secret: 1}, "struct of pointers": struct{ c *config }{&c},
		"reflect.Value": reflect.ValueOf(c).Field(1), "func": token.Value, "*Transport": &Transport{source: StaticTokenSource(token)},
		"a panic's value": fmt.Errorf("config %+v", c),
	}
}

// shows returns true if a text contains the secret in any form that package fmt can print.
func shows(text string) bool {
	decimal, hexadecimal := "", ""
	for _, b := range []byte(secretText[:4]) {
		decimal += strconv.Itoa(int(b)) + " "
		hexadecimal += fmt.Sprintf("%#x, ", b)
	}
	for _, form := range []string{
		secretText[:6], secretText[8:12], decimal, hexadecimal, fmt.Sprintf("%x", secretText[:6]), fmt.Sprintf("%X", secretText[:6]),
		fmt.Sprintf("% x", secretText[:6]), base64.StdEncoding.EncodeToString([]byte(secretText[:6])),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestShowsDetectsSecret(t *testing.T) {
	open := struct {
		text  string
		bytes []byte
	}{secretText, []byte(secretText)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "% x"} {
		if !shows(fmt.Sprintf(verb, open)) {
			t.Errorf("the output of %s is not detected: %s", verb, fmt.Sprintf(verb, open))
		}
	}
}

func TestFormatVerbsDoNotShowSecrets(t *testing.T) {
	for name, value := range holders() {
		for _, flag := range []string{"", "+", "#", " ", "-20", "020", ".3"} {
			for _, verb := range "vTtbcdoOqxXUeEfFgGspwyz" {
				format := "%" + flag + string(verb)
				shown := fmt.Sprintf(format, value)
				if shows(shown) {
					t.Errorf("%s of %s: %s", format, name, shown)
				}
				switch value.(type) {
				case Secret, *Secret, Token, *Token:
					if verb != 'T' && verb != 'p' && verb != 'w' && shown != "[redacted]" {
						t.Errorf("%s of %s: %s", format, name, shown)
					}
				}
			}
		}
		for _, shown := range []string{fmt.Sprint(value), fmt.Sprintln(value), fmt.Errorf("%w", fmt.Errorf("%v", value)).Error()} {
			if shows(shown) {
				t.Errorf("%s: %s", name, shown)
			}
		}
	}
	if shown := fmt.Sprint((*Token)(nil), (*Secret)(nil), Token{}, Secret{}); shown != "<nil> <nil> [redacted] [redacted]" {
		t.Error(shown)
	}
}

func TestEncodingsDoNotShowSecrets(t *testing.T) {
	for name, value := range holders() {
		encoded, err := json.Marshal(value)
		if shows(string(encoded)) || err != nil && shows(err.Error()) {
			t.Errorf("JSON of %s: %s, %v", name, encoded, err)
		}
		encoded, err = xml.Marshal(value)
		if shows(string(encoded)) || err != nil && shows(err.Error()) {
			t.Errorf("XML of %s: %s, %v", name, encoded, err)
		}
		var buffer bytes.Buffer
		err = gob.NewEncoder(&buffer).Encode(value)
		if shows(buffer.String()) || err != nil && shows(err.Error()) {
			t.Errorf("gob of %s: %v", name, err)
		}
	}
	secret := NewSecret(secretText)
	encoded, err := json.Marshal(map[string]interface{}{"a": secret, "b": &Token{masked{secret.hidden}}, "c": map[Secret]int{secret: 1}})
	if want := `{"a":"[redacted]","b":"[redacted]","c":{"[redacted]":1}}`; err != nil || string(encoded) != want {
		t.Errorf("%s, %v", encoded, err)
	}
}

// reach calls f with all strings that reflection finds, including those in unexported fields.
func reach(value reflect.Value, f func(text string)) {
	switch value.Kind() {
	case reflect.String:
		f(value.String())
	case reflect.Pointer, reflect.Interface:
		reach(value.Elem(), f)
	case reflect.Struct:
		for i := 0; i < value.NumField(); i++ {
			reach(value.Field(i), f)
		}
	case reflect.Slice, reflect.Array:
		if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Uint8 {
			f(string(value.Bytes()))
			return
		}
		for i := 0; i < value.Len(); i++ {
			reach(value.Index(i), f)
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			reach(key, f)
			reach(value.MapIndex(key), f)
		}
	}
}

func TestReflectionDoesNotFindSecrets(t *testing.T) {
	for name, value := range holders() {
		reach(reflect.ValueOf(value), func(text string) {
			if shows(text) {
				t.Errorf("%s: reflection finds %q", name, text)
			}
		})
	}
	open, found := struct{ any interface{} }{&[]map[string][]byte{{"": []byte(secretText)}}}, false
	reach(reflect.ValueOf(open), func(text string) { found = found || shows(text) })
	if !found {
		t.Error("reach does not find an unprotected secret")
	}
}

func TestSecretIsUnmarshaledFromJSON(t *testing.T) {
	var login Credentials
	must(t, json.Unmarshal([]byte(`{"Username":"ada","Password":"`+secretText+`"}`), &login))
	login.Password.read(func(text []byte) {
		if string(text) != secretText {
			t.Error("the secret is a different one")
		}
	})
	// A masked secret must not be read as a password.
	masked, err := json.Marshal(login)
	must(t, err)
	if err := json.Unmarshal(masked, &login); err == nil {
		t.Error("a masked secret was read back")
	}
}

func TestSecretEqualsOnlyItsCopies(t *testing.T) {
	secret := NewSecret(secretText)
	if copied := secret; copied != secret || !reflect.DeepEqual(copied, secret) || secret == NewSecret(secretText) {
		t.Error("the wrong secrets are equal")
	}
}

func TestWipeOverwritesSecret(t *testing.T) {
	source := []byte(secretText)
	secret := NewSecretBytes(source)
	source[0] = '*'
	secret.read(func(text []byte) {
		if string(text) != secretText {
			t.Error("the secret is not a copy")
		}
	})
	token := &Token{masked{hide([]byte(secretText))}}
	if token.Value() != secretText {
		t.Error("the token's value is wrong")
	}
	for _, m := range []masked{secret.masked, token.masked} {
		text := m.hidden.text()
		m.wipe()
		if strings.Trim(string(text), "\x00") != "" {
			t.Errorf("%q", text)
		}
		m.wipe()
	}
	if token.Value() != "" || (&Token{}).Value() != "" {
		t.Error("an empty token has a value")
	}
	Secret{}.Wipe()
}

func TestUnreachableTokenIsWiped(t *testing.T) {
	left := make(chan string, 1)
	token := &Token{masked{hide([]byte(secretText))}}
	// The runtime finalizes an object before the objects that it refers to: the token is wiped before the bytes are
	// finalized.
	runtime.SetFinalizer(&token.hidden.text()[0], func(first *byte) { left <- string([]byte{*first}) })
	runtime.KeepAlive(token)
	token = nil
	waitFor(t, "the token is not freed", func() bool { return len(left) == 1 })
	if first := <-left; first != "\x00" {
		t.Errorf("the first byte is %q", first)
	}
}
