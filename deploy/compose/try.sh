#!/bin/sh
# Tells the story of "make run" with Envoy and Keycloak.
#
#   sh deploy/compose/try.sh          start everything, tell the story, stop
#   sh deploy/compose/try.sh up       start everything
#   sh deploy/compose/try.sh story    tell the story
#   sh deploy/compose/try.sh down     stop
#
# Needs docker with compose version 2 ("docker compose", not "docker-compose"),
# curl and openssl, and build/orgate.wasm (make build). The exit status is 1 if
# any response is not as it should be.
#
#   ENVOY_VERSION  the tag of Envoy's image
#   GATEWAY        where Envoy is     (http://127.0.0.1:10000)
#   KEYCLOAK       where Keycloak is  (http://127.0.0.1:8180)
set -eu

here=$(dirname "$0")
gateway=${GATEWAY:-http://127.0.0.1:10000}
keycloak=${KEYCLOAK:-http://127.0.0.1:8180}

up() {
	if [ ! -f "$here/../../build/orgate.wasm" ]; then
		echo "build/orgate.wasm is missing: make build" >&2
		return 1
	fi
	if ! docker compose version >/dev/null 2>&1; then
		echo "docker has no compose version 2: https://docs.docker.com/compose/install" >&2
		return 1
	fi
	docker compose -f "$here/compose.yaml" up --build --detach --wait
}

down() {
	docker compose -f "$here/compose.yaml" down --volumes
}

# token REALM CLIENT SECRET [SCOPE]: a token of Keycloak's (RFC 6749 section 4.4).
token() {
	curl -sS --data "grant_type=client_credentials&client_id=$2&client_secret=$3&scope=${4:-}" \
		"$keycloak/realms/$1/protocol/openid-connect/token" |
		sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p'
}

# base64url without padding (RFC 7515 section 2), and back.
encode() {
	openssl base64 -A | tr '+/' '-_' | tr -d '='
}

decode() {
	text=$(cat)
	case $((${#text} % 4)) in
	2) text="$text==" ;;
	3) text="$text=" ;;
	esac
	printf '%s' "$text" | tr '_-' '/+' | openssl base64 -d -A
}

# The parts of a token.
header() { printf '%s' "$1" | cut -d. -f1; }
payload() { printf '%s' "$1" | cut -d. -f2; }
signature() { printf '%s' "$1" | cut -d. -f3; }

# tampered TOKEN: another subject, the old signature.
tampered() {
	printf '%s.%s.%s' "$(header "$1")" \
		"$(payload "$1" | decode | sed 's/"sub":"[^"]*"/"sub":"admin"/' | encode)" "$(signature "$1")"
}

# with_algorithm TOKEN ALG: what is to be signed, with another algorithm.
with_algorithm() {
	printf '%s.%s' "$(header "$1" | decode | sed "s/RS256/$2/" | encode)" "$(payload "$1")"
}

# unsigned TOKEN: "none", and the old signature, since an empty one is not even
# a token.
unsigned() {
	printf '%s.%s' "$(with_algorithm "$1" none)" "$(signature "$1")"
}

# confused TOKEN: HS256, with the realm's public key for a secret.
confused() {
	key=$(curl -sS "$keycloak/realms/org1" | sed -n 's/.*"public_key" *: *"\([^"]*\)".*/\1/p')
	pem=$(printf '%s\n%s\n%s' '-----BEGIN PUBLIC KEY-----' "$key" '-----END PUBLIC KEY-----')
	input=$(with_algorithm "$1" HS256)
	printf '%s.%s' "$input" "$(printf '%s' "$input" | openssl dgst -sha256 -hmac "$pem" -binary | encode)"
}

# imposed TOKEN: signed with a key of our own, under the kid of Keycloak's.
imposed() {
	openssl genrsa -out "$work/key.pem" 2048 2>/dev/null
	input="$(header "$1").$(payload "$1")"
	printf '%s.%s' "$input" "$(printf '%s' "$input" | openssl dgst -sha256 -sign "$work/key.pem" -binary | encode)"
}

# row NAME PATH STATUS CODE IDENTITY [HEADER...]: sends a request, and compares
# the status, WSO2's code of a refusal ("-": none), and who the API saw.
row() {
	name=$1 path=$2 status=$3 code=$4 identity=$5
	shift 5
	got_status=$(for h in "$@"; do printf 'header = "%s"\n' "$h"; done |
		curl -sS --config - --path-as-is -o "$work/body" -w '%{http_code}' "$gateway$path") || got_status=none
	got_code=$(sed -n 's/.*"code" *: *"\([0-9]*\)".*/\1/p' "$work/body")
	got_identity=$(awk -F'"' '
		$2 == "name" { name = $4 }
		$2 == "value" && (name ~ /^x-wso2-/ || name == "authorization") {
			sub(/^x-wso2-/, "", name); printf "%s%s=%s", space, name, $4; space = " "
		}' "$work/body")
	mark=ok
	if [ "$got_status ${got_code:--} $got_identity" != "$status $code $identity" ]; then
		mark=WRONG
		wrong=$((wrong + 1))
	fi
	rows=$((rows + 1))
	printf '%-5s  %-40s  %-22s  %s %-6s  %s\n' "$mark" "$name" "$path" "$got_status" "${got_code:--}" "$got_identity"
	if [ "$mark" = WRONG ]; then
		printf '       expected %s %s  %s\n' "$status" "$code" "$identity"
	fi
}

story() {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	rows=0 wrong=0

	brief=$(token org1 brief-app brief-secret orders:read)
	read=$(token org1 orders-app orders-secret orders:read)
	write=$(token org1 orders-app orders-secret orders:write)
	elsewhere=$(token org1 elsewhere-app elsewhere-secret orders:read)
	other=$(token org2 billing-app billing-secret invoices:read)
	stranger=$(token stranger orders-app orders-secret orders:read)
	for t in "$brief" "$read" "$write" "$elsewhere" "$other" "$stranger"; do
		if [ -z "$t" ]; then
			echo "no token from $keycloak" >&2
			return 1
		fi
	done
	sleep 4 # the brief token lives for a second, and clocks may differ by one

	one='consumer-key=orders-app organization=org1 scopes=orders:read username=service-account-orders-app'
	two='consumer-key=billing-app organization=org2 roles=accountant scopes=invoices:read username=service-account-billing-app'
	bearer='Authorization: Bearer'

	row "org1's token on org1's API" /org1/orders 200 - "$one" "$bearer $read"
	row "org2's token on org2's API" /org2/invoices 200 - "$two" "$bearer $other"
	row "org2's token on org1's API" /org1/orders 403 900908 '' "$bearer $other"
	row "org1's token on org2's API" /org2/invoices 403 900908 '' "$bearer $read"
	row 'no token' /org1/orders 401 900902 ''
	row 'expired token' /org1/orders 401 900903 '' "$bearer $brief"
	row 'payload changed after signing' /org1/orders 401 900901 '' "$bearer $(tampered "$read")"
	row 'algorithm "none"' /org1/orders 401 900901 '' "$bearer $(unsigned "$read")"
	row 'HS256 with the public key as the secret' /org1/orders 401 900901 '' "$bearer $(confused "$read")"
	row 'signed by another key, same kid' /org1/orders 401 900901 '' "$bearer $(imposed "$read")"
	row 'issuer nobody configured' /org1/orders 401 900901 '' "$bearer $stranger"
	row 'token for another audience' /org1/orders 401 900901 '' "$bearer $elsewhere"
	row 'spoofed organization, good token' /org1/orders 200 - "$one" "$bearer $read" 'X-WSO2-Organization: org2'
	row 'spoofed organization, public path' /public/prices 200 - '' 'X-WSO2-Organization: org2'
	row 'scope missing' /org1/admin 403 900910 '' "$bearer $read"
	row 'scope there' /org1/admin 200 - "${one%%scopes=*}scopes=orders:write ${one##*orders:read }" "$bearer $write"
	row 'public path, no token' /public/prices 200 - ''
	row 'two tokens' /org1/orders 401 900901 '' "$bearer $read" "$bearer $other"
	row 'path that reads in two ways' /org1/..%2forg2/invoices 400 - '' "$bearer $read"

	if [ "$wrong" -gt 0 ]; then
		printf '\n%s of %s responses are not as they should be.\n' "$wrong" "$rows"
		return 1
	fi
	printf '\nAll %s responses are as they should be.\n' "$rows"
}

case ${1:-all} in
up) up ;;
down) down ;;
story) story ;;
all)
	up
	status=0
	(story) || status=$?
	if [ "$status" != 0 ]; then
		docker compose -f "$here/compose.yaml" logs --tail 50
	fi
	down
	exit "$status"
	;;
*)
	echo "usage: try.sh [up|story|down]" >&2
	exit 2
	;;
esac
