package strictjson_test

import (
	"errors"
	"fmt"

	"orgate/internal/strictjson"
)

func ExampleParseObject() {
	claims, err := strictjson.ParseObject(`{"sub": "alice", "exp": 1300819380}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	sub, _ := claims.Get("sub")
	exp, _ := claims.Get("exp")
	fmt.Println(sub.Str, exp.Raw)

	// Two readers could take this for two different tokens.
	_, err = strictjson.ParseObject(`{"sub": "alice", "s\u0075b": "bob"}`)
	fmt.Println(err, errors.Is(err, strictjson.ErrDuplicate))
	// Output:
	// alice 1300819380
	// duplicate member at byte 17 true
}
